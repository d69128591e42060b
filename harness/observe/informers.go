package observe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// informed are the kinds that [Informers] keep: what every cluster has, and what people make.
var informed = []struct {
	name     string
	resource schema.GroupVersionResource
}{
	{"namespace", schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}},
	{"node", schema.GroupVersionResource{Version: "v1", Resource: "nodes"}},
	{"configmap", schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}},
	{"service", schema.GroupVersionResource{Version: "v1", Resource: "services"}},
	{"deployment", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}},
}

const (
	// listEvery is the time before each attempt to list anew, and between two comparisons with the API.
	listEvery = time.Second
	// maxStale bounds the list of what differs.
	maxStale = 20
)

// Informers are a client that watches as a controller does: it lists once, watches from the last version that it has seen, watches on from there whenever the connection breaks, and lists
// anew only when the API says that this version is too old. Nothing of what it sees is recorded.
//
// It is not what [Watches] are: those recover from more than a client must.
type Informers struct {
	since  time.Time
	meta   metadata.Interface
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu   sync.Mutex
	seen map[string]string // versions by subject
}

// StartInformers returns when everything has been listed.
func StartInformers(ctx context.Context, meta metadata.Interface) (*Informers, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &Informers{meta: meta, cancel: cancel, seen: map[string]string{}}
	listing, stop := context.WithTimeout(ctx, SyncTimeout)
	defer stop()
	for _, kind := range informed {
		version, err := w.list(listing, kind.name, kind.resource)
		if err != nil {
			w.Stop()
			return nil, err
		}
		w.all.Go(func() { w.keep(ctx, kind.name, kind.resource, version) })
	}
	w.since = time.Now()
	return w, nil
}

// Stop ends them. It may be called more than once.
func (w *Informers) Stop() {
	w.cancel()
	w.all.Wait()
}

// Since is when they had listed everything.
func (w *Informers) Since() time.Time { return w.since }

// list takes what there is of a kind for what is known of it, and returns the version of that.
func (w *Informers) list(ctx context.Context, kind string, resource schema.GroupVersionResource) (string, error) {
	objects, version, err := w.objects(ctx, kind, resource)
	if err != nil {
		return "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.seen, func(subject, _ string) bool { return isKind(subject, kind) })
	maps.Copy(w.seen, objects)
	return version, nil
}

// objects lists what there is of a kind, and the version of the list.
func (w *Informers) objects(ctx context.Context, kind string, resource schema.GroupVersionResource) (map[string]string, string, error) {
	list, err := w.meta.Resource(resource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, "", fmt.Errorf("list %ss: %w", kind, err)
	}
	objects := map[string]string{}
	for i := range list.Items {
		objects[subject(kind, &list.Items[i])] = list.Items[i].ResourceVersion
	}
	return objects, list.ResourceVersion, nil
}

// keep watches a kind until the context ends.
func (w *Informers) keep(ctx context.Context, kind string, resource schema.GroupVersionResource, version string) {
	for {
		var old bool
		if version, old = w.watch(ctx, kind, resource, version); !old {
			select {
			case <-time.After(listEvery):
				continue
			case <-ctx.Done():
				return
			}
		}
		for listed := false; !listed; {
			select {
			case <-time.After(listEvery):
			case <-ctx.Done():
				return
			}
			var err error
			version, err = w.list(ctx, kind, resource)
			listed = err == nil
		}
	}
}

// watch takes in what changes, until the API says that the version is too old, or the watch ends otherwise: an API server that has just started forbids it as long as it does not know who may do what. It
// returns the last version.
func (w *Informers) watch(ctx context.Context, kind string, resource schema.GroupVersionResource, version string) (last string, old bool) {
	from := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		return w.meta.Resource(resource).Watch(ctx, options)
	}}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, version, from)
	if err != nil {
		return version, false
	}
	defer func() { <-watcher.Done() }()
	defer watcher.Stop()
	for {
		select {
		case event, open := <-watcher.ResultChan():
			if !open {
				return version, false
			}
			if event.Type == watch.Error {
				err := apierrors.FromObject(event.Object)
				return version, apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
			}
			version = cmp.Or(w.take(kind, event.Type == watch.Deleted, event.Object), version)
		case <-ctx.Done():
			return version, false
		}
	}
}

// take takes in an event, and returns its version.
func (w *Informers) take(kind string, gone bool, object runtime.Object) string {
	o, ok := object.(metav1.Object)
	if !ok {
		return ""
	}
	if o.GetName() == "" { // a bookmark
		return o.GetResourceVersion()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if gone {
		delete(w.seen, subject(kind, o))
	} else {
		w.seen[subject(kind, o)] = o.GetResourceVersion()
	}
	return o.GetResourceVersion()
}

// Compare looks whether they know what the API has, and gives them time to catch up. It returns how many objects they know, and a text for each that they have not come to know
// otherwise all the while, although it is something else in the API, or not there.
func (w *Informers) Compare(ctx context.Context, within time.Duration) (known int, stale []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var suspects map[string]suspect // by subject; nil before the first look
	for {
		now := map[string]string{}
		for _, kind := range informed {
			objects, _, err := w.objects(ctx, kind.name, kind.resource)
			switch {
			case errors.Is(err, context.DeadlineExceeded) && suspects != nil:
				return known, texts(suspects), nil
			case err != nil:
				return 0, nil, fmt.Errorf("compare what informers know with the API: %w", err)
			}
			maps.Copy(now, objects)
		}
		known, suspects = w.suspects(now, suspects)
		if len(suspects) == 0 {
			return known, []string{}, nil
		}
		select {
		case <-time.After(listEvery):
		case <-ctx.Done():
			return known, texts(suspects), nil
		}
	}
}

// suspect is an object that the informers know in another version than the API; "" is none.
type suspect struct{ known, there string }

// suspects lists them, and leaves out those of which the informers knew something else when they were listed before.
func (w *Informers) suspects(now map[string]string, before map[string]suspect) (known int, list map[string]suspect) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list = map[string]suspect{}
	look := func(subject string) {
		s := suspect{w.seen[subject], now[subject]}
		earlier, suspected := before[subject]
		if s.known != s.there && (before == nil || suspected && earlier.known == s.known) {
			list[subject] = s
		}
	}
	for subject := range now {
		look(subject)
	}
	for subject := range w.seen {
		look(subject)
	}
	return len(w.seen), list
}

func texts(suspects map[string]suspect) []string {
	var list []string
	for _, subject := range slices.Sorted(maps.Keys(suspects)) {
		if len(list) == maxStale {
			break
		}
		s := suspects[subject]
		switch {
		case s.known == "":
			list = append(list, subject+" is not known")
		case s.there == "":
			list = append(list, subject+" is not there any more")
		default:
			list = append(list, fmt.Sprintf("%s is known in version %s, and is in version %s", subject, s.known, s.there))
		}
	}
	return list
}
