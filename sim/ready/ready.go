// Package ready waits until a cluster is ready, whoever made it: each wait looks for itself, ends with its context, and its error says what it last saw.
//
//	err := ready.APIServer(ctx, client, "cp-1")
//	err = ready.Nodes(ctx, client, 3)
package ready

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

const (
	// pollInterval is how often a condition is looked at that can't be watched.
	pollInterval = 50 * time.Millisecond
	// callTimeout bounds one look.
	callTimeout = 5 * time.Second
)

// Poll looks at a condition until it holds (nil). Its error says what it last saw.
func Poll(ctx context.Context, what string, look func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	last := errors.New("nothing yet")
	for {
		err := lookOnce(ctx, look)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // otherwise the look was interrupted, which says nothing about the condition
			last = err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; last seen: %w", what, context.Cause(ctx), last)
		}
	}
}

func lookOnce(ctx context.Context, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return look(ctx)
}

// APIServer waits until the API server of a node, which the client reaches, says that it is ready.
func APIServer(ctx context.Context, client kubernetes.Interface, node string) error {
	return Poll(ctx, "kube-apiserver "+node+" is ready", func(ctx context.Context) error {
		answer := client.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "").Do(ctx)
		err := answer.Error()
		if err == nil {
			return nil
		}
		if body, _ := answer.Raw(); len(body) > 0 {
			return errors.New(unreadyChecks(string(body)))
		}
		return err
	})
}

// unreadyChecks are the lines of /readyz?verbose that say what isn't ready.
func unreadyChecks(body string) string {
	var failed []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "[-]") {
			failed = append(failed, strings.TrimSpace(line))
		}
	}
	if len(failed) == 0 {
		return strings.TrimSpace(body)
	}
	return strings.Join(failed, "; ")
}

// DefaultAccount waits for the service account without which no pod can be made.
func DefaultAccount(ctx context.Context, client kubernetes.Interface) error {
	return Poll(ctx, "the default service account is there", func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// Leader waits until a component of this name ("kube-scheduler") holds its lease.
func Leader(ctx context.Context, client kubernetes.Interface, name string) error {
	return Poll(ctx, name+" has a leader", func(ctx context.Context) error {
		lease, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			return fmt.Errorf("nobody holds lease %q", name)
		}
		return nil
	})
}

// DaemonSets waits until each DaemonSet of the namespace has a Ready pod on every one of so many nodes.
func DaemonSets(ctx context.Context, client kubernetes.Interface, namespace string, nodes int) error {
	return Poll(ctx, "the DaemonSets of "+namespace+" are on every node", func(ctx context.Context) error {
		all, err := client.AppsV1().DaemonSets(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, d := range all.Items {
			if s := d.Status; s.ObservedGeneration < d.Generation || int(s.NumberReady) < nodes {
				return fmt.Errorf("%s has %d ready pods, and there are %d nodes", d.Name, s.NumberReady, nodes)
			}
		}
		return nil
	})
}

// sliceController writes the EndpointSlices of Services with a selector, and says so in their label.
// https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#management
const sliceController = "endpointslice-controller.k8s.io"

// Endpoints waits until the endpoints of Services with a selector are pods that there are, and say of each whether it is being deleted.
func Endpoints(ctx context.Context, client kubernetes.Interface) error {
	return Poll(ctx, "endpoints are the pods that there are", func(ctx context.Context) error {
		pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		all, err := client.DiscoveryV1().EndpointSlices("").List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelManagedBy + "=" + sliceController})
		if err != nil {
			return err
		}
		deleting := map[types.UID]bool{}
		for _, pod := range pods.Items {
			deleting[pod.UID] = pod.DeletionTimestamp != nil
		}
		for _, slice := range all.Items {
			for _, e := range slice.Endpoints {
				if e.TargetRef == nil || e.TargetRef.Kind != "Pod" {
					continue
				}
				said := e.Conditions.Terminating != nil && *e.Conditions.Terminating
				if is, there := deleting[e.TargetRef.UID]; !there || is != said {
					return fmt.Errorf("endpointslice %s/%s has pod %s, terminating: %t; the pod is there: %t, and being deleted: %t", slice.Namespace, slice.Name, e.TargetRef.Name, said, there, is)
				}
			}
		}
		return nil
	})
}

// NodesError says which nodes did not become ready.
type NodesError struct {
	// Missing are the names of nodes that were wanted and are not Ready, or not there.
	Missing []string
	// Err is why they are not waited for any more.
	Err error
}

func (e *NodesError) Error() string {
	const most = 10
	names, more := e.Missing, ""
	if len(names) > most {
		names, more = names[:most], fmt.Sprintf(" and %d more", len(names)-most)
	}
	return fmt.Sprintf("wait until all nodes are Ready: %v; last seen: not Ready are %s%s", e.Err, strings.Join(names, ", "), more)
}

func (e *NodesError) Unwrap() error { return e.Err }

// Nodes waits until all these nodes are Ready and without the taint of those that are not. It watches, because a thousand nodes are too much to list twenty times a second. The
// error is a [*NodesError].
func Nodes(ctx context.Context, client kubernetes.Interface, names []string) error {
	nodes := client.CoreV1().Nodes()
	lw := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return nodes.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return nodes.Watch(ctx, o)
		},
	}, client)
	wanted, missing := map[string]bool{}, map[string]bool{}
	for _, name := range names {
		wanted[name], missing[name] = true, true
	}
	_, err := watchtools.UntilWithSync(ctx, lw, &corev1.Node{}, nil, func(e watch.Event) (bool, error) {
		if node, ok := e.Object.(*corev1.Node); ok && wanted[node.Name] {
			if e.Type != watch.Deleted && isReady(node) {
				delete(missing, node.Name)
			} else {
				missing[node.Name] = true
			}
		}
		return len(missing) == 0, nil
	})
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return &NodesError{Missing: slices.Sorted(maps.Keys(missing)), Err: err}
}

// isReady tells whether a node is Ready and takes pods: the node controller lifts the taint of a node that is not ready only after it has
// seen that it is, and pods that are scheduled before that all go to the nodes that were faster.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#node-kubernetes-io-not-ready
func isReady(node *corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady {
			return false
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
