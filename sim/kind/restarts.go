package kind

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/ready"
)

// instance is one container of a static pod, by node and name.
type instance struct{ node, component string }

// ending is an unasked end of one. The time is zero when it is not known.
type ending struct {
	instance
	at time.Time
}

// noteRestarts remembers the restarts that were part of the cluster's creation.
func (c *Cluster) noteRestarts(ctx context.Context) (err error) {
	c.ready = time.Now()
	c.restarted, err = c.restarts(ctx)
	clear(c.ends)
	return err
}

// Restarts lists the components whose containers ended unasked since the cluster was ready, as far as somebody looked before their pods were made anew. A component without a pod is waited for until the context
// ends: a kubelet that could not show its static pod, because the API server was away, tries again when it looks at that pod next, and was seen to take two minutes.
func (c *Cluster) Restarts(ctx context.Context) ([]cluster.Restart, error) {
	var failed error
	err := ready.Poll(ctx, "each component that was there when the cluster was ready has a pod", func(ctx context.Context) error {
		var counts map[instance]int32
		counts, failed = c.restarts(ctx)
		switch {
		case failed == nil:
			return c.withoutPod(counts)
		case errors.Is(failed, context.DeadlineExceeded): // a look has less time than the question
			return failed
		}
		return nil
	})
	if err = cmp.Or(err, failed); err != nil {
		return nil, fmt.Errorf("look for restarts: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.ends), func(a, b cluster.Restart) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Component, b.Component))
	}), nil
}

// lookForRestarts remembers what has ended so far, before or after something that explains an end, or makes pods anew. Where the API is away the next look has to do.
func (c *Cluster) lookForRestarts(ctx context.Context) {
	if _, err := c.restarts(ctx); err != nil {
		c.say("which components ended was not asked: %v", err)
	}
}

// restarts counts how often the containers of the control plane's static pods have been restarted, and remembers those that ended unasked: a pod that is made anew says nothing of the one before.
// Those that were part of the cluster's creation are not, nor are those of nodes whose power was cut, or whose components were stopped, until they have settled: there they end, and end again until they find each other.
func (c *Cluster) restarts(ctx context.Context) (map[instance]int32, error) {
	pods, err := c.client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "tier=control-plane"})
	if err != nil {
		return nil, fmt.Errorf("list the control plane's pods: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := map[instance]int32{}
	for _, pod := range pods.Items {
		for _, s := range pod.Status.ContainerStatuses {
			i := instance{pod.Spec.NodeName, s.Name}
			counts[i] = s.RestartCount
			settled, disturbed := c.disturbed[i.node]
			if !disturbed {
				settled = c.ready
			}
			end := s.LastTerminationState.Terminated
			switch {
			case disturbed && settled.IsZero():
			case end != nil && end.FinishedAt.After(settled):
				c.remember(ending{i, end.FinishedAt.Time}, fmt.Errorf("its container ended with exit code %d (%s) %s", end.ExitCode, end.Reason, strings.TrimSpace(end.Message)))
			case end == nil && !disturbed && s.RestartCount > c.restarted[i]:
				c.remember(ending{instance: i}, errors.New("how it ended is not known"))
			}
		}
	}
	return counts, nil
}

// remember keeps an unasked end, the first time it is seen.
func (c *Cluster) remember(e ending, how error) {
	if _, known := c.ends[e]; known {
		return
	}
	at := e.at
	if at.IsZero() {
		at = time.Now()
	}
	c.ends[e] = cluster.Restart{Time: at, Node: e.node, Component: e.component, Err: how}
}

// withoutPod is an error when a component that was there when the cluster was ready is not among those that were counted.
func (c *Cluster) withoutPod(counts map[instance]int32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.restarted {
		settled, disturbed := c.disturbed[i.node]
		if _, ok := counts[i]; !ok && (!disturbed || !settled.IsZero()) {
			return fmt.Errorf("%s of node %q has none", i.component, i.node)
		}
	}
	return nil
}
