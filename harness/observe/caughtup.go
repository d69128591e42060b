package observe

import (
	"context"
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CatchUpTimeout is how long the recording may lag behind the cluster before that is an error.
const CatchUpTimeout = 20 * time.Second

// sight is the last that was recorded of an object.
type sight struct {
	version uint64
	gone    bool
	object  any // as it was recorded, and nil when it is gone
}

// saw notes how far the recording of one object has come. A deleted object stays known, so that waiting for one of its versions ends.
func (w *Watches) saw(subject string, s sight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[subject] = s
	close(w.news)
	w.news = make(chan struct{})
}

// last is how far the recording of an object has come, if it has begun.
func (w *Watches) last(subject string) (sight, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, known := w.seen[subject]
	return s, known
}

// gone are the objects of a kind that are recorded as being there, and are not.
func (w *Watches) gone(kind string, there map[string]bool) map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	objects := map[string]any{}
	for subject, s := range w.seen {
		if isKind(subject, kind) && !s.gone && !there[subject] {
			objects[subject] = s.object
		}
	}
	return objects
}

// number reads a resource version. They are ordered: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
func number(version string) uint64 {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Recorded waits until the recording shows an object in a version, or a later one. What a procedure does next is then behind it in
// the trace, as it is in the cluster: watches are asynchronous.
func (w *Watches) Recorded(ctx context.Context, subject, version string) error {
	return w.await(ctx, func() string {
		if w.seen[subject].version >= number(version) {
			return ""
		}
		return fmt.Sprintf("%s in version %s, recorded is version %d", subject, version, w.seen[subject].version)
	})
}

// CatchUp waits until everything that is in the cluster now is in the recording, and nothing that is gone is left in it.
func (w *Watches) CatchUp(ctx context.Context) error {
	for _, kind := range kindsOf(w.kube) {
		now := map[string]uint64{}
		list, err := w.metadata.Resource(kind.resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("list %ss to see whether the recording is complete: %w", kind.name, err)
		}
		for i := range list.Items {
			now[subject(kind.name, &list.Items[i])] = number(list.Items[i].ResourceVersion)
		}
		at := number(list.ResourceVersion)
		if err := w.await(ctx, func() string { return w.missing(kind.name, now, at) }); err != nil {
			return err
		}
	}
	return nil
}

// missing names an object of a kind that the recording does not have as it was in the cluster at that version; "" when it has all.
func (w *Watches) missing(kind string, now map[string]uint64, at uint64) string {
	for subject, version := range now {
		if s := w.seen[subject]; s.version < version {
			return fmt.Sprintf("%s in version %d, recorded is version %d", subject, version, s.version)
		}
	}
	for subject, s := range w.seen {
		if _, there := now[subject]; !there && !s.gone && s.version <= at && isKind(subject, kind) {
			return fmt.Sprintf("the deletion of %s, recorded is version %d", subject, s.version)
		}
	}
	return ""
}

func isKind(subject, kind string) bool {
	return len(subject) > len(kind) && subject[:len(kind)] == kind && subject[len(kind)] == '/'
}

// await looks again whenever something was recorded. lacking is called with the lock held and says what is waited for, or "".
func (w *Watches) await(ctx context.Context, lacking func() string) error {
	ctx, cancel := context.WithTimeout(ctx, CatchUpTimeout)
	defer cancel()
	for {
		w.mu.Lock()
		lack, news := lacking(), w.news
		w.mu.Unlock()
		if lack == "" {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("the recording lags behind the cluster: waited for %s: %w", lack, ctx.Err())
		}
	}
}
