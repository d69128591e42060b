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
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/ready"
)

// PowerOff cuts the power of a node: its container is killed, and with it everything in it at once.
func (c *Cluster) PowerOff(ctx context.Context, node string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	if err := c.engine.Do(ctx, engine.Command{Args: []string{"kill", "--signal", "KILL", m.container}}); err != nil {
		return fmt.Errorf("power off node %q: %w", node, err)
	}
	c.setOff(node, true)
	if err := c.save(); err != nil {
		return err
	}
	return ready.Poll(ctx, "container "+m.container+" has ended", func(ctx context.Context) error {
		running, err := c.running(ctx, m)
		if err == nil && running {
			err = errors.New("it runs")
		}
		return err
	})
}

// PowerOn boots a node, with its disk and its address as they were. One that runs is left alone.
func (c *Cluster) PowerOn(ctx context.Context, node string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	running, err := c.running(ctx, m)
	if err == nil && !running {
		err = c.boot(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("power on node %q: %w", node, err)
	}
	c.setOff(node, false)
	return nil
}

// boot starts the container. Podman gives a container that starts a new address, unless it has one of its own; a machine keeps its own, and etcd's
// members know each other by it. A booted machine keeps the address that was seen when the cluster was made; that is looked at.
func (c *Cluster) boot(ctx context.Context, m machine) error {
	want := c.addresses[m.node]
	if c.engine.Name == engine.Podman {
		network := c.spec.Name
		for _, args := range [][]string{{"network", "disconnect", network, m.container}, {"network", "connect", "--ip", want, network, m.container}} {
			if err := c.engine.Do(ctx, engine.Command{Args: args}); err != nil {
				return err
			}
		}
	}
	if err := c.engine.Do(ctx, engine.Command{Args: []string{"start", m.container}}); err != nil {
		return err
	}
	got, err := c.address(ctx, m)
	if err == nil && got != want {
		err = fmt.Errorf("%s gave it the address %s, and it had %s", c.engine.Name, got, want)
	}
	return err
}

// address is a container's address in the cluster's network.
func (c *Cluster) address(ctx context.Context, m machine) (string, error) {
	return c.engine.Output(ctx, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", m.container)
}

// running tells whether a node's container runs; one that is not there does not.
func (c *Cluster) running(ctx context.Context, m machine) (bool, error) {
	there, err := c.claimed.containers(ctx, c.engine)
	if err != nil || !slices.Contains(there, m.container) {
		return false, err
	}
	state, err := c.engine.Output(ctx, "inspect", "--format", "{{.State.Running}}", m.container)
	return state == "true", err
}

func (c *Cluster) setOff(node string, off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off[node] = off
	if off {
		c.disturbed[node] = time.Time{}
	}
}

// disturb says that components of the node end because of us, until they have settled.
func (c *Cluster) disturb(node string) error {
	c.mu.Lock()
	c.disturbed[node] = time.Time{}
	c.mu.Unlock()
	return c.save()
}

// firstOn is the first machine that has power.
func (c *Cluster) firstOn() (machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		if !c.off[m.node] {
			return m, nil
		}
	}
	return machine{}, errors.New("no node has power")
}

// instance is one container of a static pod, by node and name.
type instance struct{ node, component string }

// ending is an unasked end of one. The time is zero when it is not known.
type ending struct {
	instance
	at time.Time
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
			end := s.LastTerminationState.Terminated
			switch {
			case disturbed && settled.IsZero():
			case end != nil && end.FinishedAt.After(later(settled, c.ready)):
				c.remember(ending{i, end.FinishedAt.Time}, fmt.Errorf("its container ended with exit code %d (%s) %s", end.ExitCode, end.Reason, strings.TrimSpace(end.Message)))
			case end == nil && !disturbed && s.RestartCount > c.restarted[i]:
				c.remember(ending{instance: i}, errors.New("how it ended is not known"))
			}
		}
	}
	return counts, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
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

// lookForRestarts remembers what has ended so far, before or after something that explains an end, or makes pods anew. Where the API is away the next look has to do.
func (c *Cluster) lookForRestarts(ctx context.Context) {
	if _, err := c.restarts(ctx); err != nil {
		c.say("which components ended was not asked: %v", err)
	}
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
