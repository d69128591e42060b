package kind

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/ready"
)

// staticPods are the processes of the components of a control plane by their names; none on a worker.
func (c *Cluster) staticPods(ctx context.Context, m machine) (map[string][]string, error) {
	found := map[string][]string{}
	if m.role != cluster.ControlPlane {
		return found, nil
	}
	for _, name := range controlPlaneComponents {
		pids, err := c.pids(ctx, m, name)
		if err != nil {
			return nil, err
		}
		found[name] = pids
	}
	return found, nil
}

// settleTime is how long a kubelet that was restarted may take to begin with its static pods.
const settleTime = 20 * time.Second

// settle waits for what a new kubelet does to a control plane; on a worker there is nothing. From v1.33.13 to v1.34.4 one was seen to start all static pods anew within eight seconds, and the API to be away for
// twelve, just when the next operation had begun. One that leaves them is waited for in vain, for settleTime.
func (c *Cluster) settle(ctx context.Context, m machine, before map[string][]string) error {
	changed := time.Now()
	last := before
	err := ready.Poll(ctx, "the static pods of "+m.node+" have settled", func(ctx context.Context) error {
		now, err := c.staticPods(ctx, m)
		if err != nil {
			return err
		}
		if !maps.EqualFunc(last, now, slices.Equal) {
			last, changed = now, time.Now()
		}
		old := 0
		for name, pids := range now {
			if len(pids) == 0 {
				return fmt.Errorf("%s does not run", name)
			}
			if slices.Equal(pids, before[name]) {
				old++
			}
		}
		if old > 0 && time.Since(changed) < settleTime {
			return fmt.Errorf("%d of %d were not started again, and may be yet", old, len(now))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.awaitServerOf(ctx, m.node)
}

// awaitServerOf waits for the API server of a control plane; a worker has none.
func (c *Cluster) awaitServerOf(ctx context.Context, node string) error {
	for _, server := range c.servers {
		if server.Node == node {
			return awaitServer(ctx, server)
		}
	}
	return nil
}
