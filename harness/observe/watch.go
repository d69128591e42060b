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
	"k8s.io/apimachinery/pkg/api/equality"
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
	cancel  context.CancelFunc

	deciding sync.Mutex // held from a look at what was recorded of an object until what came of that is

	mu      sync.Mutex
	err     error
	listing int // how often everything was listed
	seen    map[string]sight
	news    chan struct{} // closed, and replaced, whenever something was recorded
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
	w.mu.Lock()
	w.listing++
	w.mu.Unlock()
	w.factory = informers.NewSharedInformerFactoryWithOptions(w.kube, 0, informers.WithTransform(strip))
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
		synced = append(synced, registration.HasSynced)
	}
	w.factory.StartWithContext(life)
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
	if err := w.start(ctx, context.WithoutCancel(ctx), trace.Added); err != nil {
		return err
	}
	w.mu.Lock()
	known := slices.Collect(maps.Keys(w.seen))
	w.mu.Unlock()
	slices.Sort(known)
	for _, subject := range known {
		w.deciding.Lock()
		if last, _ := w.last(subject); !last.gone && last.listing != w.listing {
			w.put(subject, trace.Deleted, last.object)
		}
		w.deciding.Unlock()
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
	change := func(change string, object any) {
		if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = tombstone.Obj
		}
		if o, ok := object.(metav1.Object); ok {
			w.put(subject(kind, o), change, object)
		}
	}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, initial bool) {
			o, ok := object.(metav1.Object)
			if !ok {
				return
			}
			w.deciding.Lock()
			defer w.deciding.Unlock()
			switch last, known := w.last(subject(kind, o)); {
			case known && !last.gone && equality.Semantic.DeepEqual(last.object, object): // versions may be used again for something else
				w.saw(subject(kind, o), last)
			case known && !last.gone:
				change(trace.Modified, object)
			case initial:
				change(listed, object)
			default:
				change(trace.Added, object)
			}
		},
		UpdateFunc: func(before, after any) {
			if version(before) != version(after) {
				change(trace.Modified, after)
			}
		},
		DeleteFunc: func(o any) { change(trace.Deleted, o) },
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
