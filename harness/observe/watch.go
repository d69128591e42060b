// Package observe records what a cluster does: watches of the objects that the
// world is made of, and probes of what clients see.
//
// Watches end with the context and are complete from the first list on: [Watches]
// returns when every kind has been listed, and what was there by then is
// recorded as "existing". Nothing secret is recorded: see strip.
package observe

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/seatrial/seatrial/harness/trace"
)

// kind is one of what is watched.
type kind struct {
	name     string
	resource schema.GroupVersionResource
	object   runtime.Object
	source   cache.ListerWatcher
}

// kindsOf are what is watched of a cluster. Leases of nodes are not: a lease that stops shows in its node's Ready condition, at a hundredth of the events.
func kindsOf(k kubernetes.Interface) []kind {
	core, apps, admission := k.CoreV1(), k.AppsV1(), k.AdmissionregistrationV1()
	return []kind{
		{"node", corev1.SchemeGroupVersion.WithResource("nodes"), &corev1.Node{}, listWatch(k, core.Nodes())},
		{"deployment", appsv1.SchemeGroupVersion.WithResource("deployments"), &appsv1.Deployment{}, listWatch(k, apps.Deployments(""))},
		{"statefulset", appsv1.SchemeGroupVersion.WithResource("statefulsets"), &appsv1.StatefulSet{}, listWatch(k, apps.StatefulSets(""))},
		{"daemonset", appsv1.SchemeGroupVersion.WithResource("daemonsets"), &appsv1.DaemonSet{}, listWatch(k, apps.DaemonSets(""))},
		{"replicaset", appsv1.SchemeGroupVersion.WithResource("replicasets"), &appsv1.ReplicaSet{}, listWatch(k, apps.ReplicaSets(""))},
		{"replicationcontroller", corev1.SchemeGroupVersion.WithResource("replicationcontrollers"), &corev1.ReplicationController{}, listWatch(k, core.ReplicationControllers(""))},
		{"job", batchv1.SchemeGroupVersion.WithResource("jobs"), &batchv1.Job{}, listWatch(k, k.BatchV1().Jobs(""))},
		{"poddisruptionbudget", policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets"), &policyv1.PodDisruptionBudget{}, listWatch(k, k.PolicyV1().PodDisruptionBudgets(""))},
		{"pod", corev1.SchemeGroupVersion.WithResource("pods"), &corev1.Pod{}, listWatch(k, core.Pods(""))},
		{"endpointslice", discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), &discoveryv1.EndpointSlice{}, listWatch(k, k.DiscoveryV1().EndpointSlices(""))},
		{"namespace", corev1.SchemeGroupVersion.WithResource("namespaces"), &corev1.Namespace{}, listWatch(k, core.Namespaces())},
		{"validatingwebhookconfiguration", admissionv1.SchemeGroupVersion.WithResource("validatingwebhookconfigurations"), &admissionv1.ValidatingWebhookConfiguration{}, listWatch(k, admission.ValidatingWebhookConfigurations())},
		{"mutatingwebhookconfiguration", admissionv1.SchemeGroupVersion.WithResource("mutatingwebhookconfigurations"), &admissionv1.MutatingWebhookConfiguration{}, listWatch(k, admission.MutatingWebhookConfigurations())},
		{"event", corev1.SchemeGroupVersion.WithResource("events"), &corev1.Event{}, listWatch(k, core.Events(""))},
	}
}

// listWatch lists and watches what one of a client's interfaces is for.
func listWatch[L runtime.Object](client kubernetes.Interface, of interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc:  func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) { return of.List(ctx, opts) },
		WatchFuncWithContext: of.Watch,
	}, client)
}

// SyncTimeout is how long the first list of every kind may take.
const SyncTimeout = 30 * time.Second

// again is how soon a watch that found no API server tries again. A client's own half minute would leave a hole in the recording long after the server is back.
var again = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 5, Cap: time.Second, Jitter: 0.5}

// Recorder takes events; it is trace.Writer.Record with the op filled in.
type Recorder func(e trace.Event, data any) error

// Watches is a set of running watches.
type Watches struct {
	kube     kubernetes.Interface
	metadata metadata.Interface
	record   Recorder

	cancel  context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	err  error
	seen map[string]sight
	news chan struct{} // closed, and replaced, whenever something was recorded
}

// StartWatches begins to record the objects of a cluster, and returns when all that was there is recorded.
func StartWatches(ctx context.Context, kube kubernetes.Interface, meta metadata.Interface, record Recorder) (*Watches, error) {
	w := &Watches{kube: kube, metadata: meta, record: record, seen: map[string]sight{}, news: make(chan struct{})}
	if err := w.start(ctx, ctx, trace.Existing); err != nil {
		return nil, err
	}
	return w, w.Err()
}

// start lists and watches every kind for life, and returns when all that is there is recorded; what was not known is listed as this change.
func (w *Watches) start(ctx, life context.Context, listed string) error {
	life, w.cancel = context.WithCancel(life)
	var sinks []*sink
	for _, k := range kindsOf(w.kube) {
		s := &sink{watches: w, kind: k.name, listed: listed, synced: make(chan struct{})}
		sinks = append(sinks, s)
		reflector := cache.NewReflectorWithOptions(k.source, k.object, s, cache.ReflectorOptions{Name: "recording", Backoff: &again})
		w.running.Go(func() { reflector.RunWithContext(life) })
	}
	ctx, stop := context.WithTimeout(ctx, SyncTimeout)
	defer stop()
	for _, s := range sinks {
		select {
		case <-s.synced:
		case <-ctx.Done():
			w.Stop()
			return fmt.Errorf("watch the cluster: no list of %ss within %s: %w", s.kind, SyncTimeout, ctx.Err())
		}
	}
	return nil
}

// Relist begins anew, and records what is otherwise than it was recorded last. It is for who knows that versions may have gone back, as they do when etcd is restored: a watch that goes on from
// a version that is still to come sees nothing until then, and never what is gone. The watches outlive the context.
func (w *Watches) Relist(ctx context.Context) error {
	w.Stop()
	if err := w.start(ctx, context.WithoutCancel(ctx), trace.Added); err != nil {
		return err
	}
	return w.Err()
}

// Stop ends the watches and waits until nothing more is recorded.
func (w *Watches) Stop() {
	w.cancel()
	w.running.Wait()
}

// Err is the first error of recording: a trace with a hole in it is no evidence.
func (w *Watches) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// sink takes what the watch of one kind sees, and records it.
type sink struct {
	watches *Watches
	kind    string
	listed  string // the change as which the first list records what was not known
	first   sync.Once
	synced  chan struct{} // closed after the first list
}

var _ cache.ReflectorStore = (*sink)(nil)

// Add records an object.
func (s *sink) Add(object any) error {
	s.changed(object, trace.Added)
	return nil
}

// Update records an object that is otherwise.
func (s *sink) Update(object any) error { return s.Add(object) }

// Delete records that an object is gone, as it was last.
func (s *sink) Delete(object any) error {
	strip(object)
	s.watches.put(subject(s.kind, object.(metav1.Object)), trace.Deleted, object)
	return nil
}

// Replace records what is otherwise in a new list than was recorded last: nothing more is known of what happened between. A list that is streamed comes in any order. Versions say in which the
// objects changed last; in another one an upgrade would be recorded, and judged, as it never was: the controller manager before its API server.
func (s *sink) Replace(list []any, _ string) error {
	slices.SortStableFunc(list, func(a, b any) int { return cmp.Compare(number(version(a)), number(version(b))) })
	there := map[string]bool{}
	for _, object := range list {
		there[subject(s.kind, object.(metav1.Object))] = true
		s.changed(object, s.listed)
	}
	gone := s.watches.gone(s.kind, there)
	for _, subject := range slices.Sorted(maps.Keys(gone)) {
		s.watches.put(subject, trace.Deleted, gone[subject])
	}
	s.listed = trace.Added
	s.first.Do(func() { close(s.synced) })
	return nil
}

// Resync has nothing to do: nothing is kept here.
func (*sink) Resync() error { return nil }

// changed records an object that is otherwise than it was recorded last, or that is there again; as this change if it is there now.
func (s *sink) changed(object any, added string) {
	strip(object)
	subject := subject(s.kind, object.(metav1.Object))
	switch last, known := s.watches.last(subject); {
	case !known || last.gone:
		s.watches.put(subject, added, object)
	case !equality.Semantic.DeepEqual(last.object, object): // not by version: one may be used again, for something else
		s.watches.put(subject, trace.Modified, object)
	}
}

// put records a change of an object.
func (w *Watches) put(subject, change string, object any) {
	if err := w.record(trace.Event{Kind: trace.KindObject, Subject: subject, Change: change}, object); err != nil {
		w.mu.Lock()
		if w.err == nil {
			w.err = err
		}
		w.mu.Unlock()
	}
	s := sight{version: number(version(object)), object: object}
	if s.gone = change == trace.Deleted; s.gone {
		s.object = nil
	}
	w.saw(subject, s)
}

func version(o any) string {
	if m, ok := o.(metav1.Object); ok {
		return m.GetResourceVersion()
	}
	return ""
}

func subject(kind string, o metav1.Object) string {
	if o.GetNamespace() == "" {
		return kind + "/" + o.GetName()
	}
	return kind + "/" + o.GetNamespace() + "/" + o.GetName()
}

// strip takes out what no policy reads and what may be secret: managed fields, all annotations but those that say how a pod lives,
// and of containers what they run, with what environment, and what their probes and hooks send.
func strip(object any) {
	o, ok := object.(metav1.Object)
	if !ok {
		return
	}
	stripMeta(o)
	for _, spec := range podSpecs(object) {
		for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
			for i := range containers {
				containers[i] = stripped(containers[i])
			}
		}
		for i, e := range spec.EphemeralContainers {
			spec.EphemeralContainers[i].EphemeralContainerCommon = corev1.EphemeralContainerCommon(stripped(corev1.Container(e.EphemeralContainerCommon)))
		}
	}
	for _, template := range templates(object) {
		stripMeta(&template.ObjectMeta)
	}
	if r, ok := object.(runtime.Object); ok {
		r.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
}

func stripMeta(o metav1.Object) {
	o.SetManagedFields(nil)
	annotations := o.GetAnnotations()
	maps.DeleteFunc(annotations, func(key, _ string) bool {
		return !slices.ContainsFunc(keptAnnotations, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
	})
}

// keptAnnotations are the prefixes of the annotations that are recorded.
var keptAnnotations = []string{"sim.seatrial.dev/", "kubernetes.io/config.", "deployment.kubernetes.io/revision"}

// stripped keeps of a container what says how it is scheduled and served, and nothing that may hold a password.
func stripped(c corev1.Container) corev1.Container {
	return corev1.Container{Name: c.Name, Image: c.Image, Ports: c.Ports, Resources: c.Resources, RestartPolicy: c.RestartPolicy, VolumeMounts: c.VolumeMounts}
}
