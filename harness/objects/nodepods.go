package objects

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// AwaitNodePods waits until the pods that belong to a node, those of DaemonSets and static ones, have been started since a moment and are Ready: a node that
// booted is Ready before its network and its proxy are.
func (c *Client) AwaitNodePods(ctx context.Context, node string, since time.Time) error {
	ref := Ref{Kind: "node", Name: node}
	mapping, err := c.mapping(kinds["pod"])
	if err != nil {
		return fmt.Errorf("wait for %s: %w", ref, err)
	}
	resource := c.dynamic.Resource(mapping.Resource) // in all namespaces
	began := time.Now()
	since = since.Truncate(time.Second) // as the times in a pod's status are
	late := map[string]string{}         // pods that are not yet as they should be, and why
	seen := map[string]bool{}           // pods that are as they should be: without any, nothing has been looked at
	done := func() bool { return len(late) == 0 && len(seen) > 0 }
	look := func(o any) error {
		pod, err := podOf(o)
		if err == nil {
			key := pod.Namespace + "/" + pod.Name
			delete(late, key)
			delete(seen, key)
			if why := unstarted(pod, since); why != "" {
				late[key] = why
			} else if belongs(pod) {
				seen[key] = true
			}
		}
		return err
	}
	_, err = watchtools.UntilWithSync(ctx, c.listWatch(resource, fields.OneTermEqualSelector("spec.nodeName", node)), &unstructured.Unstructured{},
		func(store cache.Store) (bool, error) {
			for _, o := range store.List() {
				if err := look(o); err != nil {
					return false, err
				}
			}
			return done(), nil
		},
		func(e watch.Event) (bool, error) {
			if e.Type == watch.Deleted {
				if pod, err := podOf(e.Object); err == nil {
					delete(late, pod.Namespace+"/"+pod.Name)
					delete(seen, pod.Namespace+"/"+pod.Name)
				}
				return done(), nil
			}
			err := look(e.Object)
			return done(), err
		})
	return waited(ctx, err, func() *TimeoutError {
		last := "none of them"
		if names := slices.Sorted(maps.Keys(late)); len(names) > 0 {
			last = fmt.Sprintf("pod/%s: %s", names[0], late[names[0]])
		}
		return &TimeoutError{Ref: ref, Expected: "its DaemonSets' and static pods to be Ready again", LastSeen: last, After: time.Since(began)}
	}, ref)
}

func podOf(o any) (*corev1.Pod, error) {
	object, ok := o.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("watch sent %T", o)
	}
	var pod corev1.Pod
	return &pod, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &pod)
}

// belongs tells whether a pod is its node's own: of a DaemonSet or static, and there to stay.
func belongs(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && (owner.Kind == "DaemonSet" || owner.Kind == "Node") && pod.DeletionTimestamp == nil
}

// unstarted says why a pod that belongs to its node does not run anew, or "".
func unstarted(pod *corev1.Pod, since time.Time) string {
	if !belongs(pod) {
		return ""
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Running == nil || s.State.Running.StartedAt.Time.Before(since) {
			return "its container " + s.Name + " has not been started again"
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return ""
		}
	}
	return "it is not Ready"
}
