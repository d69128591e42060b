// Package observe records what a cluster does: watches of the objects that the
// world is made of, and probes of what clients see.
//
// Watches end with the context and are complete from the first list on: [Watches]
// returns when every kind has been listed, and what was there by then is
// recorded as "existing". Nothing secret is recorded: see strip.
package observe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/seatrial/seatrial/harness/trace"
)

// kinds are what is watched. Leases of nodes are not: a lease that stops shows in its node's Ready condition, at a hundredth of the events.
var kinds = []struct {
	name     string
	resource schema.GroupVersionResource
}{
	{"node", schema.GroupVersionResource{Version: "v1", Resource: "nodes"}},
	{"deployment", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}},
	{"statefulset", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}},
	{"daemonset", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}},
	{"replicaset", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}},
	{"replicationcontroller", schema.GroupVersionResource{Version: "v1", Resource: "replicationcontrollers"}},
	{"job", schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}},
	{"poddisruptionbudget", schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}},
	{"pod", schema.GroupVersionResource{Version: "v1", Resource: "pods"}},
	{"endpointslice", schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}},
	{"namespace", schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}},
	{"validatingwebhookconfiguration", schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}},
	{"mutatingwebhookconfiguration", schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"}},
	{"event", schema.GroupVersionResource{Version: "v1", Resource: "events"}},
}

// SyncTimeout is how long the first list of every kind may take.
const SyncTimeout = 30 * time.Second

// Recorder takes events; it is trace.Writer.Record with the op filled in.
type Recorder func(e trace.Event, data any) error

// Watches is a set of running watches.
type Watches struct {
	kube     kubernetes.Interface
	metadata metadata.Interface
	record   Recorder

	factory informers.SharedInformerFactory
	stores  map[string]cache.Store // by kind
	cancel  context.CancelFunc

	mu   sync.Mutex
	err  error
	seen map[string]sight
	news chan struct{} // closed, and replaced, whenever something was recorded
}

// StartWatches begins to record the objects of a cluster, and returns when all that was there is recorded.
func StartWatches(ctx context.Context, kube kubernetes.Interface, meta metadata.Interface, record Recorder) (*Watches, error) {
	w := &Watches{kube: kube, metadata: meta, record: record, seen: map[string]sight{}, news: make(chan struct{})}
	if err := w.start(ctx, trace.Existing); err != nil {
		return nil, err
	}
	return w, w.Err()
}

// start lists and watches every kind, and returns when all that is there is recorded; what was not known is listed as this change.
func (w *Watches) start(ctx context.Context, listed string) error {
	ctx, w.cancel = context.WithCancel(ctx)
	w.factory = informers.NewSharedInformerFactoryWithOptions(w.kube, 0, informers.WithTransform(strip))
	w.stores = map[string]cache.Store{}
	var synced []cache.InformerSynced
	for _, kind := range kinds {
		informer, err := w.factory.ForResource(kind.resource)
		if err != nil {
			w.cancel()
			return fmt.Errorf("watch %ss: %w", kind.name, err)
		}
		registration, err := informer.Informer().AddEventHandler(w.handler(kind.name, listed))
		if err != nil {
			w.cancel()
			return fmt.Errorf("watch %ss: %w", kind.name, err)
		}
		w.stores[kind.name] = informer.Informer().GetStore()
		synced = append(synced, registration.HasSynced)
	}
	w.factory.StartWithContext(ctx)
	syncing, stop := context.WithTimeout(ctx, SyncTimeout)
	defer stop()
	if !cache.WaitForCacheSync(syncing.Done(), synced...) {
		w.Stop()
		return fmt.Errorf("watch the cluster: not every kind was listed within %s", SyncTimeout)
	}
	return nil
}

// Relist begins anew, and records what is otherwise than it was recorded last. It is for who knows that versions may have gone back, as they do when etcd is restored: a watch that goes on from
// a version that is still to come sees nothing until then, and never what is gone. The watches outlive the context.
func (w *Watches) Relist(ctx context.Context) error {
	w.Stop()
	before := w.stores
	if err := w.start(context.WithoutCancel(ctx), trace.Added); err != nil {
		return err
	}
	for kind, store := range before {
		there := w.stores[kind].ListKeys()
		for _, gone := range slices.DeleteFunc(store.ListKeys(), func(key string) bool { return slices.Contains(there, key) }) {
			object, _, err := store.GetByKey(gone)
			if err != nil {
				return err
			}
			w.put(kind, trace.Deleted, object)
		}
	}
	return w.Err()
}

// Stop ends the watches and waits until nothing more is recorded.
func (w *Watches) Stop() {
	w.cancel()
	w.factory.Shutdown()
}

// Err is the first error of recording: a trace with a hole in it is no evidence.
func (w *Watches) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Watches) handler(kind, listed string) cache.ResourceEventHandlerDetailedFuncs {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(o any, initial bool) {
			switch last, known := w.last(kind, o); {
			case known && !last.gone && last.version == number(version(o)):
			case known && !last.gone:
				w.put(kind, trace.Modified, o)
			case initial:
				w.put(kind, listed, o)
			default:
				w.put(kind, trace.Added, o)
			}
		},
		UpdateFunc: func(before, after any) {
			if version(before) != version(after) {
				w.put(kind, trace.Modified, after)
			}
		},
		DeleteFunc: func(o any) { w.put(kind, trace.Deleted, o) },
	}
}

// put records a change of an object.
func (w *Watches) put(kind, change string, object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	o, ok := object.(metav1.Object)
	if !ok {
		return
	}
	if err := w.record(trace.Event{Kind: trace.KindObject, Subject: subject(kind, o), Change: change}, object); err != nil {
		w.mu.Lock()
		if w.err == nil {
			w.err = err
		}
		w.mu.Unlock()
	}
	w.saw(subject(kind, o), o, change == trace.Deleted)
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
func strip(object any) (any, error) {
	o, ok := object.(metav1.Object)
	if !ok {
		return object, nil
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
	return object, nil
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
