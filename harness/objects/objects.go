// Package objects does to Kubernetes objects what kubectl apply, kubectl wait and
// kubectl rollout status do: it applies manifests and waits, on watches, until
// objects are as they are wanted.
//
//	client.Apply(ctx, manifests)
//	client.AwaitRollout(ctx, objects.Ref{Kind: "deployment", Namespace: "production", Name: "web"})
package objects

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/client-go/util/jsonpath"
	"k8s.io/kubectl/pkg/polymorphichelpers"
)

// FieldManager owns the fields that seatrial applies.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/
const FieldManager = "seatrial"

// Client applies and awaits objects of one cluster.
type Client struct {
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

// NewClient returns a client for the cluster that config reaches.
func NewClient(config *rest.Config, kube kubernetes.Interface) (*Client, error) {
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make dynamic client: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kube.Discovery()))
	return &Client{dynamic: dyn, mapper: mapper}, nil
}

// Ref names an object that can be awaited. Kind is lower case, as in "deployment".
type Ref struct {
	Kind, Namespace, Name string
}

func (r Ref) String() string {
	if r.Kind == "node" || r.Kind == "namespace" {
		return r.Kind + "/" + r.Name
	}
	return r.Kind + "/" + r.Namespace + "/" + r.Name
}

// ParseRef reads kind/name.
func ParseRef(ref, namespace string) Ref {
	kind, name, _ := strings.Cut(ref, "/")
	return Ref{Kind: kind, Namespace: namespace, Name: name}
}

// kinds are the kinds that a Ref may have.
var kinds = map[string]schema.GroupVersionKind{
	"deployment":  {Group: "apps", Version: "v1", Kind: "Deployment"},
	"statefulset": {Group: "apps", Version: "v1", Kind: "StatefulSet"},
	"daemonset":   {Group: "apps", Version: "v1", Kind: "DaemonSet"},
	"pod":         {Version: "v1", Kind: "Pod"},
	"job":         {Group: "batch", Version: "v1", Kind: "Job"},
	"node":        {Version: "v1", Kind: "Node"},
	"lease":       {Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"},
	"namespace":   {Version: "v1", Kind: "Namespace"},
	"configmap":   {Version: "v1", Kind: "ConfigMap"},
	"secret":      {Version: "v1", Kind: "Secret"},
	"service":     {Version: "v1", Kind: "Service"},
}

// workloads are those of them that roll out, or become ready.
var workloads = []string{"deployment", "statefulset", "daemonset", "pod"}

// ErrRejected is wrapped by errors that say that the cluster refused an object: the manifest is at fault, not we.
var ErrRejected = errors.New("the API server refused it")

// Apply applies the objects in order, each with server-side apply. An object without a namespace goes to "default" where its kind has namespaces.
func (c *Client) Apply(ctx context.Context, manifests []*unstructured.Unstructured) error {
	for _, o := range manifests {
		if err := c.apply(ctx, o); err != nil {
			return fmt.Errorf("apply %s %q: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

func (c *Client) apply(ctx context.Context, o *unstructured.Unstructured) error {
	resource, err := c.resource(o.GroupVersionKind(), o.GetNamespace())
	if err != nil {
		return err
	}
	applied, err := resource.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: FieldManager, Force: true})
	if err != nil {
		if Refused(err) {
			return errors.Join(ErrRejected, err)
		}
		return err
	}
	if applied.GetUID() == "" {
		return errors.New("the API server answered without an object")
	}
	return nil
}

// Delete deletes the object, in the foreground: it is gone when what it owns is.
func (c *Client) Delete(ctx context.Context, ref Ref) error {
	resource, err := c.resource(kinds[ref.Kind], ref.Namespace)
	if err == nil {
		foreground := metav1.DeletePropagationForeground
		err = resource.Delete(ctx, ref.Name, metav1.DeleteOptions{PropagationPolicy: &foreground})
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", ref, err)
	}
	return nil
}

// Refused tells whether the API server itself said no: what was asked for is at fault, not the way there.
func Refused(err error) bool {
	var status interface{ Status() metav1.Status }
	return errors.As(err, &status) && status.Status().Code >= 400 && status.Status().Code < 500
}

// resource finds the client of a kind. Kinds that the scenario has just defined are discovered anew.
func (c *Client) resource(gvk schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	mapping, err := c.mapping(gvk)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

func (c *Client) mapping(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset()
		mapping, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("find kind %s: %w", gvk, err)
	}
	return mapping, nil
}

// Workloads lists those of the objects that roll out, or become ready: what a caller of Apply may want to wait for.
func Workloads(manifests []*unstructured.Unstructured) []Ref {
	var refs []Ref
	for _, o := range manifests {
		kind := strings.ToLower(o.GetKind())
		if !slices.Contains(workloads, kind) || kinds[kind].Group != o.GroupVersionKind().Group {
			continue
		}
		namespace := o.GetNamespace()
		if namespace == "" {
			namespace = metav1.NamespaceDefault
		}
		refs = append(refs, Ref{kind, namespace, o.GetName()})
	}
	return refs
}

// TimeoutError says what was waited for in vain, and what was seen last.
type TimeoutError struct {
	Ref      Ref
	Expected string
	LastSeen string
	After    time.Duration
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("wait for %s: expected %s within %s, last seen: %s", e.Ref, e.Expected, e.After.Round(time.Second), e.LastSeen)
}

// AwaitReady waits until a workload has rolled out, or until a pod is Ready.
func (c *Client) AwaitReady(ctx context.Context, ref Ref) error {
	if ref.Kind == "pod" {
		return c.AwaitCondition(ctx, ref, "Ready", "True")
	}
	return c.AwaitRollout(ctx, ref)
}

// AwaitRollout waits until kubectl rollout status would say that the workload has rolled out, and as many of its pods are Ready: while no controller
// manager works, as after a power cut, what the workload says of itself is old.
func (c *Client) AwaitRollout(ctx context.Context, ref Ref) error {
	began := time.Now()
	last := ""
	err := wait.PollUntilContextCancel(ctx, podsEvery, true, func(ctx context.Context) (bool, error) {
		o, err := c.awaitStatus(ctx, ref)
		if err != nil {
			return false, err
		}
		ready, wanted, err := c.readyPods(ctx, o)
		if err != nil && !Refused(err) { // the API may be away for a moment
			last = "its status says so, but its pods can't be asked for: " + err.Error()
			return false, nil
		}
		last = fmt.Sprintf("its status says so, but %d of %d pods are Ready", ready, wanted)
		return ready >= wanted, err
	})
	var timeout *TimeoutError
	if errors.As(err, &timeout) {
		return err
	}
	return waited(ctx, err, func() *TimeoutError {
		return &TimeoutError{Ref: ref, Expected: rolledOut, LastSeen: last, After: time.Since(began)}
	}, ref)
}

const (
	rolledOut = "it has rolled out"
	// podsEvery is the time between two looks at the pods of a workload whose status is old.
	podsEvery = 500 * time.Millisecond
)

// readyPods counts the Ready pods of a workload, and says how many it wants.
func (c *Client) readyPods(ctx context.Context, o *unstructured.Unstructured) (ready, wanted int64, err error) {
	resource, err := c.resource(kinds["pod"], o.GetNamespace())
	if err != nil {
		return 0, 0, err
	}
	var workload struct {
		Spec struct {
			Replicas *int64                `json:"replicas"`
			Selector *metav1.LabelSelector `json:"selector"`
		} `json:"spec"`
		Status struct {
			DesiredNumberScheduled int64 `json:"desiredNumberScheduled"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &workload); err != nil {
		return 0, 0, err
	}
	switch {
	case o.GetKind() == "DaemonSet":
		wanted = workload.Status.DesiredNumberScheduled
	case workload.Spec.Replicas != nil:
		wanted = *workload.Spec.Replicas
	}
	selector, err := metav1.LabelSelectorAsSelector(workload.Spec.Selector)
	if err != nil {
		return 0, wanted, err
	}
	list, err := resource.List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return 0, wanted, err
	}
	for _, pod := range list.Items {
		if status, _ := condition(&pod, string(corev1.PodReady)); status == string(corev1.ConditionTrue) && pod.GetDeletionTimestamp() == nil {
			ready++
		}
	}
	return ready, wanted, nil
}

// awaitStatus waits until kubectl rollout status would be content, and gives the workload as it was then.
func (c *Client) awaitStatus(ctx context.Context, ref Ref) (rolled *unstructured.Unstructured, err error) {
	viewer, err := polymorphichelpers.StatusViewerFor(kinds[ref.Kind].GroupKind())
	if err != nil {
		return nil, fmt.Errorf("wait for %s: %w", ref, err)
	}
	return rolled, c.await(ctx, ref, rolledOut, func(o *unstructured.Unstructured) (bool, string, error) {
		if o == nil {
			return false, "it does not exist", nil
		}
		rolled = o
		message, done, err := viewer.Status(o, 0)
		return done, strings.TrimSpace(message), err
	})
}

// AwaitCondition waits until the condition of that name has that status.
func (c *Client) AwaitCondition(ctx context.Context, ref Ref, name, status string) error {
	expected := fmt.Sprintf("condition %s=%s", name, status)
	return c.await(ctx, ref, expected, func(o *unstructured.Unstructured) (bool, string, error) {
		if o == nil {
			return false, "it does not exist", nil
		}
		seen, why := condition(o, name)
		return strings.EqualFold(seen, status), why, nil
	})
}

// AwaitJob waits until a Job is complete. One that failed is an error that says why.
func (c *Client) AwaitJob(ctx context.Context, ref Ref) error {
	return c.await(ctx, ref, "condition Complete=True", func(o *unstructured.Unstructured) (bool, string, error) {
		if o == nil {
			return false, "it does not exist", nil
		}
		if failed, why := condition(o, "Failed"); failed == string(metav1.ConditionTrue) {
			return false, why, &FailedError{Ref: ref, Why: why}
		}
		done, why := condition(o, "Complete")
		return done == string(metav1.ConditionTrue), why, nil
	})
}

// FailedError says that an object ended otherwise than it was waited for.
type FailedError struct {
	Ref Ref
	// Why is the condition that says so.
	Why string
}

func (e *FailedError) Error() string { return fmt.Sprintf("%s has failed: %s", e.Ref, e.Why) }

// condition finds the status of a condition, by its name in any case, and describes it; "" when there is none.
func condition(o *unstructured.Unstructured, name string) (status, description string) {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, item := range conditions {
		c, _ := item.(map[string]any)
		if kind, _ := c["type"].(string); strings.EqualFold(kind, name) {
			status, _ = c["status"].(string)
			return status, fmt.Sprintf("%s=%s (%v: %v)", name, status, c["reason"], c["message"])
		}
	}
	return "", "no condition " + name
}

// AwaitJSONPath waits until a JSONPath of the object, as {.status.phase}, has that value.
// https://kubernetes.io/docs/reference/kubectl/jsonpath/
func (c *Client) AwaitJSONPath(ctx context.Context, ref Ref, path, value string) error {
	parsed := jsonpath.New("wait").AllowMissingKeys(true)
	if err := parsed.Parse(path); err != nil {
		return fmt.Errorf("wait for %s: %w", ref, err)
	}
	return c.await(ctx, ref, fmt.Sprintf("%s=%s", path, value), func(o *unstructured.Unstructured) (bool, string, error) {
		if o == nil {
			return false, "it does not exist", nil
		}
		var seen strings.Builder
		if err := parsed.Execute(&seen, o.Object); err != nil {
			return false, "", err
		}
		return seen.String() == value, fmt.Sprintf("%s=%s", path, seen.String()), nil
	})
}

// AwaitRenewed waits until the kubelet of a node has renewed its lease after a moment: the one sign of life that is never stale.
// https://kubernetes.io/docs/concepts/architecture/leases/#node-heart-beats
func (c *Client) AwaitRenewed(ctx context.Context, node string, after time.Time) error {
	ref := Ref{Kind: "lease", Namespace: "kube-node-lease", Name: node}
	return c.await(ctx, ref, "it is renewed after "+after.UTC().Format(time.RFC3339Nano), func(o *unstructured.Unstructured) (bool, string, error) {
		if o == nil {
			return false, "it does not exist", nil
		}
		text, _, err := unstructured.NestedString(o.Object, "spec", "renewTime")
		if err != nil {
			return false, "", err
		}
		renewed, err := time.Parse(time.RFC3339Nano, text)
		return err == nil && renewed.After(after), "renewed at " + text, err
	})
}

// AwaitDeleted waits until the object is gone.
func (c *Client) AwaitDeleted(ctx context.Context, ref Ref) error {
	return c.await(ctx, ref, "it is gone", func(o *unstructured.Unstructured) (bool, string, error) {
		if o == nil {
			return true, "it is gone", nil
		}
		return false, "it exists, deletionTimestamp " + fmt.Sprint(o.GetDeletionTimestamp()), nil
	})
}

// AwaitReplicas waits until the workload wants and has that many ready replicas and no others.
func (c *Client) AwaitReplicas(ctx context.Context, ref Ref, replicas int64) error {
	return c.await(ctx, ref, fmt.Sprintf("%d ready replicas", replicas), func(o *unstructured.Unstructured) (bool, string, error) {
		if o == nil {
			return false, "it does not exist", nil
		}
		count := func(path ...string) int64 {
			n, _, _ := unstructured.NestedInt64(o.Object, path...)
			return n
		}
		wanted, all, ready := count("spec", "replicas"), count("status", "replicas"), count("status", "readyReplicas")
		seen := fmt.Sprintf("%d wanted, %d replicas, %d ready", wanted, all, ready)
		return wanted == replicas && all == replicas && ready == replicas, seen, nil
	})
}

// await watches one object until done says so; ctx must have a deadline. done gets nil for an object that does not exist.
func (c *Client) await(ctx context.Context, ref Ref, expected string, done func(*unstructured.Unstructured) (bool, string, error)) error {
	resource, err := c.resource(kinds[ref.Kind], ref.Namespace)
	if err != nil {
		return fmt.Errorf("wait for %s: %w", ref, err)
	}
	began := time.Now()
	last := "nothing, the API has not answered"
	look := func(o *unstructured.Unstructured) (ok bool, err error) {
		ok, last, err = done(o)
		return ok, err
	}
	lw := c.listWatch(resource, fields.OneTermEqualSelector("metadata.name", ref.Name))
	missing := func(store cache.Store) (bool, error) {
		if len(store.List()) > 0 {
			return false, nil // its Added event follows
		}
		return look(nil)
	}
	_, err = watchtools.UntilWithSync(ctx, lw, &unstructured.Unstructured{}, missing, func(e watch.Event) (bool, error) {
		if e.Type == watch.Deleted {
			return look(nil)
		}
		o, ok := e.Object.(*unstructured.Unstructured)
		if !ok {
			return false, fmt.Errorf("watch sent %T", e.Object)
		}
		return look(o)
	})
	return waited(ctx, err, func() *TimeoutError {
		return &TimeoutError{Ref: ref, Expected: expected, LastSeen: last, After: time.Since(began)}
	}, ref)
}

// listWatch lists and watches what a selector selects.
func (c *Client) listWatch(resource dynamic.ResourceInterface, selector fields.Selector) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector.String()
			return resource.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector.String()
			return resource.Watch(ctx, o)
		},
	}, c.dynamic)
}

// waited tells how a wait has ended: a time that is over is a [*TimeoutError].
func waited(ctx context.Context, err error, timeout func() *TimeoutError, ref Ref) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && !wait.Interrupted(err):
		return fmt.Errorf("wait for %s: %w", ref, err)
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("wait for %s: %w", ref, context.Cause(ctx))
	}
	return timeout()
}
