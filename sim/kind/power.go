package kind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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
