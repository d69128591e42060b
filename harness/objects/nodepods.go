package objects

import (
	"context"
	"errors"
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
//
// Whether they are, the API is asked once more in the end, past every cache: a wait on a real cluster whose API server had just been booted came back while
// pods of the node were still down.
func (c *Client) AwaitNodePods(ctx context.Context, node string, since time.Time) error {
	began := time.Now()
	late := ""
	for {
		err := c.watchNodePods(ctx, node, since)
		if err == nil {
			if late, err = c.lateNodePods(ctx, node, since); err == nil && late == "" {
				return nil
			}
		}
		var timeout *TimeoutError
		if errors.As(err, &timeout) && late != "" {
			timeout.LastSeen, timeout.After = late, time.Since(began)
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(confirmEvery):
		case <-ctx.Done(): // which the next watch says
		}
	}
}

const (
	nodePodsReady = "its DaemonSets' and static pods to be Ready again"
	confirmEvery  = 500 * time.Millisecond
)

// lateNodePods names a pod that is not as AwaitNodePods has it, and why; "" when all are. A node without any such pod has not been looked at.
func (c *Client) lateNodePods(ctx context.Context, node string, since time.Time) (string, error) {
	resource, err := c.resource(kinds["pod"], "")
	if err != nil {
		return "", err
	}
	list, err := resource.List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String()})
	if err != nil {
		ref := Ref{Kind: "node", Name: node}
		return "", waited(ctx, err, func() *TimeoutError { return &TimeoutError{Ref: ref, Expected: nodePodsReady, LastSeen: err.Error()} }, ref)
	}
	since = since.Truncate(time.Second)
	if len(list.Items) == 0 {
		return "no pod is on it", nil
	}
	for i := range list.Items {
		pod, err := podOf(&list.Items[i])
		if err != nil {
			return "", err
		}
		if why := unstarted(pod, since); why != "" {
			return fmt.Sprintf("pod/%s: %s", pod.Name, why), nil
		}
	}
	return "", nil
}

// watchNodePods is AwaitNodePods as a watch shows it.
func (c *Client) watchNodePods(ctx context.Context, node string, since time.Time) error {
	ref := Ref{Kind: "node", Name: node}
	resource, err := c.resource(kinds["pod"], "")
	if err != nil {
		return fmt.Errorf("wait for %s: %w", ref, err)
	}
	began := time.Now()
	since = since.Truncate(time.Second) // as the times in a pod's status are
	late := map[string]string{}         // pods that are not yet as they should be, and why
	look := func(o any) error {
		pod, err := podOf(o)
		if err == nil {
			delete(late, pod.Name)
			if why := unstarted(pod, since); why != "" {
				late[pod.Name] = why
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
			return len(late) == 0, nil
		},
		func(e watch.Event) (bool, error) {
			if e.Type == watch.Deleted {
				if pod, err := podOf(e.Object); err == nil {
					delete(late, pod.Name)
				}
				return len(late) == 0, nil
			}
			err := look(e.Object)
			return len(late) == 0, err
		})
	return waited(ctx, err, func() *TimeoutError {
		last := "nothing, the API has not answered"
		if names := slices.Sorted(maps.Keys(late)); len(names) > 0 {
			last = fmt.Sprintf("pod/%s: %s", names[0], late[names[0]])
		}
		return &TimeoutError{Ref: ref, Expected: nodePodsReady, LastSeen: last, After: time.Since(began)}
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

// unstarted says why a pod that belongs to its node does not run anew, or "".
func unstarted(pod *corev1.Pod, since time.Time) string {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "DaemonSet" && owner.Kind != "Node" || pod.DeletionTimestamp != nil {
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
