package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/seatrial/seatrial/sim/proc"
)

// Kill kills a component's process. It is started again as a kubelet does it.
func (c *Cluster) Kill(ctx context.Context, node, component string) error {
	return c.process(ctx, "kill", node, component, (*proc.Process).Kill)
}

// Pause stops a component's process in its tracks.
func (c *Cluster) Pause(ctx context.Context, node, component string) error {
	return c.process(ctx, "pause", node, component, (*proc.Process).Pause)
}

// Resume lets a paused component go on.
func (c *Cluster) Resume(ctx context.Context, node, component string) error {
	return c.process(ctx, "resume", node, component, (*proc.Process).Resume)
}

// process does something to the process of a component that runs.
func (c *Cluster) process(ctx context.Context, verb, node, component string, do func(*proc.Process) error) error {
	err := ctx.Err()
	if err == nil {
		err = errors.New("it does not run there")
		if p := c.plane(node); p != nil && p.components[component] != nil {
			if running := p.components[component].running(); running != nil {
				err = do(running)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s on node %q: %w", verb, component, node, err)
	}
	return nil
}

// running is the component's process, or nil when it has ended: there may be another later.
func (m *component) running() *proc.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process == nil {
		return nil
	}
	select {
	case <-m.process.Done():
		return nil
	default:
		return m.process
	}
}
