package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

const (
	// pollInterval is how often a condition is looked at that can't be watched.
	pollInterval = 50 * time.Millisecond
	// callTimeout bounds one look.
	callTimeout = 5 * time.Second
)

// poll looks at a condition until it holds (nil). Its error says what it last saw.
func poll(ctx context.Context, what string, look func(context.Context) error) error {
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

// waitEtcd waits until the node's etcd member answers, which for one of several means that they have a leader.
func (p *controlPlane) waitEtcd(ctx context.Context) error {
	select {
	case <-p.etcdReady:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait until etcd %s answers: %w; last seen: a process that has not said so", p.node, context.Cause(ctx))
	}
}

// waitReadyz waits until the node's API server says that it is ready.
func (p *controlPlane) waitReadyz(ctx context.Context) error {
	return poll(ctx, "kube-apiserver "+p.node+" is ready", func(ctx context.Context) error {
		answer := p.client.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "").Do(ctx)
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

// waitDefaultAccount waits for the service account without which no pod can be made.
func (c *Cluster) waitDefaultAccount(ctx context.Context) error {
	err := poll(ctx, "the default service account is there", func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	if err == nil {
		c.say("the default service account is there")
	}
	return err
}

// waitLeader waits until a component of this name holds its lease.
func (c *Cluster) waitLeader(ctx context.Context, name string) error {
	err := poll(ctx, name+" has a leader", func(ctx context.Context) error {
		lease, err := c.client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			return fmt.Errorf("nobody holds lease %q", name)
		}
		return nil
	})
	if err == nil {
		c.say("%s has a leader", name)
	}
	return err
}

// waitNodes waits until every node is Ready and schedulable. It watches, because a thousand nodes are too much to list twenty times a second.
func (c *Cluster) waitNodes(ctx context.Context) error {
	nodes := c.client.CoreV1().Nodes()
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return nodes.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return nodes.Watch(ctx, o)
		},
	}
	want := len(c.Nodes())
	ready := map[string]struct{}{}
	_, err := watchtools.UntilWithSync(ctx, lw, &corev1.Node{}, nil, func(e watch.Event) (bool, error) {
		if node, ok := e.Object.(*corev1.Node); ok {
			delete(ready, node.Name)
			if e.Type != watch.Deleted && isReady(node) {
				ready[node.Name] = struct{}{}
			}
		}
		return len(ready) == want, nil
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("wait until all nodes are Ready: %w; last seen: %d of %d", err, len(ready), want)
	}
	c.say("%d nodes are Ready", want)
	return nil
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
