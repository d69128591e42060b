package procedure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/trace"
)

// workload is one that makes pods, as it was at a look.
type workload struct {
	ref      objects.Ref
	wanted   int32
	selector *metav1.LabelSelector
	late     string // what is missing until it is complete by its own status, or ""
}

// AwaitWorkloads waits until every workload that is not complete has been so once: all its replicas updated and available by its status, and as many pods Ready, because while no
// controller manager works, as after a power cut, what a workload says of itself is old. DaemonSets, which are rolled out over all nodes one after the other, are awaited only when it is
// told to. Those that are updated by hand can't be waited for, and are passed over.
func AwaitWorkloads(ctx context.Context, env *Env, daemonSets bool) error {
	began := time.Now()
	var awaited map[objects.Ref]string // with what was seen last
	var last error
	err := wait.PollUntilContextCancel(ctx, workloadsEvery, true, func(ctx context.Context) (bool, error) {
		seen, err := env.Looks.since(ctx, latest(began, time.Now().Add(-workloadsEvery)), func(ctx context.Context) (look, error) { return lookAt(ctx, env.Kube) })
		if err == nil {
			if awaited == nil {
				awaited = map[objects.Ref]string{}
				for _, w := range seen.workloads {
					if w.late != "" && (daemonSets || w.ref.Kind != "daemonset") {
						awaited[w.ref] = w.late
						fmt.Fprintf(env.Log, "%s is not complete yet: %s\n", w.ref, w.late)
					}
				}
			}
			err = awaitedStill(ctx, seen, awaited)
		}
		if failed := (*Failure)(nil); errors.As(err, &failed) || objects.Refused(err) {
			return false, err
		}
		if ctx.Err() == nil { // otherwise the look was interrupted
			last = err // the API may be away for a moment
		}
		return err == nil && len(awaited) == 0, nil
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil:
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("wait for the workloads: %w", context.Cause(ctx))
	}
	return incomplete(awaited, last, time.Since(began))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// workloadsEvery is the time between two looks at the workloads: all at once, because where many nodes are worked on at a time many are incomplete.
const workloadsEvery = 500 * time.Millisecond

// look is the workloads as they were, and the pods no earlier.
type look struct {
	workloads []workload
	ready     *readyPods
}

// Looks are looks at all workloads, which everybody who waits for them shares: where many nodes are worked on at a time, each would look for itself otherwise.
type Looks struct {
	turn  chan struct{} // has one element while nobody looks
	began time.Time
	last  look
	err   error
}

// NewLooks makes some for a cluster.
func NewLooks() *Looks {
	l := &Looks{turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

// since gives a look that began at a time or later: the last one, or a new one.
func (l *Looks) since(ctx context.Context, at time.Time, take func(context.Context) (look, error)) (look, error) {
	select {
	case <-l.turn:
		defer func() { l.turn <- struct{}{} }()
	case <-ctx.Done():
		return look{}, context.Cause(ctx)
	}
	if !l.began.Before(at) {
		return l.last, l.err
	}
	began := time.Now()
	seen, err := take(ctx)
	if ctx.Err() == nil { // otherwise it was interrupted, which is not for others
		l.began, l.last, l.err = began, seen, err
	}
	return seen, err
}

// lookAt looks at the workloads. Pods are looked at after that, so that what is Ready is no older than what the workloads say of themselves.
func lookAt(ctx context.Context, kube kubernetes.Interface) (look, error) {
	found, err := workloads(ctx, kube)
	return look{workloads: found, ready: &readyPods{kube: kube, found: map[objects.Ref]int32{}}}, err
}

// incomplete is the error when the time is over.
func incomplete(awaited map[objects.Ref]string, last error, after time.Duration) error {
	f := &Failure{}
	var said []string
	for _, ref := range slices.SortedFunc(maps.Keys(awaited), func(a, b objects.Ref) int { return strings.Compare(a.String(), b.String()) }) {
		f.Blockers = append(f.Blockers, trace.Blocker{Subject: ref.String(), Reason: awaited[ref]})
		said = append(said, fmt.Sprintf("%s: %s", ref, awaited[ref]))
	}
	if last != nil {
		said = append(said, last.Error())
	}
	f.Message = fmt.Sprintf("wait for the workloads: expected every one to be complete within %s, last seen: %s", after.Round(time.Second), strings.Join(said, "; "))
	return f
}

// awaitedStill takes those that are complete by now from the awaited. One that is gone is not.
func awaitedStill(ctx context.Context, seen look, awaited map[objects.Ref]string) error {
	gone := maps.Clone(awaited)
	var content []workload // whose status has what it wants
	for _, w := range seen.workloads {
		if _, ok := awaited[w.ref]; !ok {
			continue
		}
		delete(gone, w.ref)
		if awaited[w.ref] = w.late; w.late == "" {
			content = append(content, w)
		}
	}
	for ref := range gone {
		awaited[ref] = "it does not exist"
	}
	for _, w := range content {
		have, err := seen.ready.of(ctx, w)
		if err != nil {
			return err
		}
		if awaited[w.ref] = fmt.Sprintf("its status says so, but %d of %d pods are Ready", have, w.wanted); have >= w.wanted {
			delete(awaited, w.ref)
		}
	}
	return nil
}

// readyPods counts the pods of workloads that are Ready and stay. Those of one are listed when somebody first asks for them: of most workloads of a large cluster nobody does.
type readyPods struct {
	kube  kubernetes.Interface
	mu    sync.Mutex
	found map[objects.Ref]int32
}

func (r *readyPods) of(ctx context.Context, w workload) (int32, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if count, ok := r.found[w.ref]; ok {
		return count, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(w.selector)
	if err != nil {
		return 0, err
	}
	pods, err := r.kube.CoreV1().Pods(w.ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return 0, fmt.Errorf("list the pods of %s: %w", w.ref, err)
	}
	count := int32(0)
	for _, pod := range pods.Items {
		is := func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue }
		if pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, is) {
			count++
		}
	}
	r.found[w.ref] = count
	return count, nil
}

// workloads looks at the Deployments, StatefulSets and DaemonSets that roll out by themselves.
func workloads(ctx context.Context, kube kubernetes.Interface) ([]workload, error) {
	var all []workload
	look := func(kind string, o metav1.ObjectMeta, observed int64, wanted int32, selector *metav1.LabelSelector, late string) {
		if observed < o.Generation {
			late = "its controller has not seen its last change yet"
		}
		all = append(all, workload{ref: objects.Ref{Kind: kind, Namespace: o.Namespace, Name: o.Name}, wanted: wanted, selector: selector, late: late})
	}
	apps, every := kube.AppsV1(), metav1.ListOptions{}
	deployments, err := apps.Deployments("").List(ctx, every)
	if err != nil {
		return nil, fmt.Errorf("list the deployments: %w", err)
	}
	for _, d := range deployments.Items {
		if stuck(d) {
			return nil, Failf("wait for deployment/%s/%s: it has exceeded its progress deadline", d.Namespace, d.Name)
		}
		want, s := *d.Spec.Replicas, d.Status
		look("deployment", d.ObjectMeta, s.ObservedGeneration, want, d.Spec.Selector, lacks(want, s.UpdatedReplicas == want && s.Replicas == want, s.UpdatedReplicas, s.AvailableReplicas, s.Replicas))
	}
	sets, err := apps.StatefulSets("").List(ctx, every)
	if err != nil {
		return nil, fmt.Errorf("list the stateful sets: %w", err)
	}
	for _, d := range sets.Items {
		if d.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
			continue
		}
		want, s, held := *d.Spec.Replicas, d.Status, int32(0) // those below the partition are held back
		if rolling := d.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.Partition != nil {
			held = min(want, *rolling.Partition)
		}
		look("statefulset", d.ObjectMeta, s.ObservedGeneration, want, d.Spec.Selector, lacks(want, s.UpdatedReplicas >= want-held, s.UpdatedReplicas, s.ReadyReplicas, s.Replicas))
	}
	daemons, err := apps.DaemonSets("").List(ctx, every)
	if err != nil {
		return nil, fmt.Errorf("list the daemon sets: %w", err)
	}
	for _, d := range daemons.Items {
		if d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
			continue
		}
		s := d.Status
		want := s.DesiredNumberScheduled
		look("daemonset", d.ObjectMeta, s.ObservedGeneration, want, d.Spec.Selector, lacks(want, s.UpdatedNumberScheduled == want, s.UpdatedNumberScheduled, s.NumberAvailable, s.CurrentNumberScheduled))
	}
	return all, nil
}

// lacks says what a workload lacks by its status, or "".
func lacks(want int32, updated bool, updatedReplicas, available, replicas int32) string {
	if updated && available == want {
		return ""
	}
	return fmt.Sprintf("it wants %d replicas; of %d, %d are updated and %d available", want, replicas, updatedReplicas, available)
}

// stuck tells whether a Deployment has stopped rolling out.
func stuck(d appsv1.Deployment) bool {
	return d.Status.ObservedGeneration >= d.Generation && slices.ContainsFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
		return c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded"
	})
}
