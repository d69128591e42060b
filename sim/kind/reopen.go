package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/ready"
)

// The capability to be reopened: containers outlive the process that made them anyway. Its claim keeps the reaper from removing them, and a file says what neither the engine nor the cluster does.

// stateFile is in the cluster's StateDir, beside its kubeconfig.
const stateFile = "kind.json"

// state is what a cluster knows and can't be asked for.
type state struct {
	// Addresses are those of the nodes, which they keep. A container that does not run has none.
	Addresses map[string]string `json:"addresses"`
	// Disturbed are the nodes whose components ended because of us, and since when they have settled.
	Disturbed map[string]time.Time `json:"disturbed"`
	// Ready is when the cluster was.
	Ready time.Time `json:"ready"`
	// Restarted is how often components had been restarted by then, by node and component.
	Restarted map[string]map[string]int32 `json:"restarted"`
}

// outlive has the cluster outlive this process when it is killed, until it is reopened, or removed by its name.
func (c *Cluster) outlive() error {
	if err := c.save(); err != nil {
		return err
	}
	c.claimed.Kept = true
	return c.claimed.write(os.Rename)
}

// save writes the state, in one piece, if the cluster is to be reopened.
func (c *Cluster) save() error {
	if !c.spec.Resumable {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := state{Addresses: c.addresses, Disturbed: c.disturbed, Ready: c.ready, Restarted: map[string]map[string]int32{}}
	for i, count := range c.restarted {
		if s.Restarted[i.node] == nil {
			s.Restarted[i.node] = map[string]int32{}
		}
		s.Restarted[i.node][i.component] = count
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(c.spec.StateDir, stateFile)
	if err := os.WriteFile(path+".partial", raw, 0o600); err != nil {
		return fmt.Errorf("save the cluster's state: %w", err)
	}
	return os.Rename(path+".partial", path)
}

// recall reads the state that another process saved.
func (c *Cluster) recall() error {
	raw, err := os.ReadFile(filepath.Join(c.spec.StateDir, stateFile))
	if err != nil {
		return err
	}
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("read the cluster's state: %w", err)
	}
	c.addresses, c.ready, c.restarted = s.Addresses, s.Ready, map[instance]int32{}
	maps.Copy(c.disturbed, s.Disturbed)
	for node, components := range s.Restarted {
		for component, count := range components {
			c.restarted[instance{node, component}] = count
		}
	}
	return nil
}

var _ cluster.Reopener = (*Provider)(nil)

// Reopen implements cluster.Reopener. What goes on in the nodes has gone on; faults under way are over. A command that a node was still executing is waited for.
func (p *Provider) Reopen(ctx context.Context, spec cluster.Spec) (cluster.Cluster, error) {
	c, err := p.reopen(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("reopen cluster %q: %w", spec.Name, err)
	}
	return c, nil
}

func (p *Provider) reopen(ctx context.Context, spec cluster.Spec) (*Cluster, error) {
	client, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	image, err := p.images(ctx, spec)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, cluster.ReadyTimeout, fmt.Errorf("it is not ready within %s", cluster.ReadyTimeout))
	defer cancel()
	c := newCluster(p.options, client, spec, image)
	if err := errors.Join(c.reclaim(), c.recall()); err != nil {
		return nil, err
	}
	if err := each(c.machines, func(m machine) error { return c.restore(ctx, m) }); err != nil {
		return nil, err
	}
	c.say("%d nodes have power and a network, and nothing that another process began goes on in them", len(c.machines))
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	return c, c.awaitReady(ctx)
}

// reclaim takes the claim over from a process that is gone.
func (c *Cluster) reclaim() error {
	dir, err := claimsDir(c.options.Dir)
	if err != nil {
		return err
	}
	l, err := readClaim(filepath.Join(dir, c.spec.Name+".json"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("it was removed: %w", cluster.ErrGone)
	case err != nil:
		return err
	case !l.Owner.Gone():
		return errors.New("its run is under way")
	}
	if l.Owner, err = proc.Self(); err != nil {
		return err
	}
	c.claimed, c.disclaim = l, func() error { return nil } // no reaper knows of it: it goes on outliving us
	return l.write(os.Rename)
}

// restore has a node as it is without faults, and waits for kubeadm where it was under way.
func (c *Cluster) restore(ctx context.Context, m machine) error {
	if err := c.PowerOn(ctx, m.node); err != nil {
		return err
	}
	if err := c.Reconnect(ctx, m.node); err != nil {
		return err
	}
	if c.spec.Disks {
		if err := c.FreeDisk(ctx, m.node); err != nil {
			return err
		}
	}
	if err := c.wakeAll(ctx, m); err != nil {
		return fmt.Errorf("let what is paused on node %q go on: %w", m.node, err)
	}
	return ready.Poll(ctx, "kubeadm has ended on "+m.node, func(ctx context.Context) error {
		pids, err := c.pids(ctx, m, "kubeadm")
		if err == nil && len(pids) > 0 {
			err = fmt.Errorf("processes %v", pids)
		}
		return err
	})
}

// wakeAll lets every process that is stopped on a node go on.
func (c *Cluster) wakeAll(ctx context.Context, m machine) error {
	lines, err := c.engine.Lines(ctx, "exec", m.container, "ps", "-eo", "pid=,state=")
	if err != nil {
		return err
	}
	var stopped []string
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) == 2 && fields[1] == "T" {
			stopped = append(stopped, fields[0])
		}
	}
	if len(stopped) == 0 {
		return nil
	}
	return c.engine.Do(ctx, engine.Command{Args: append([]string{"exec", m.container, "kill", "-CONT"}, stopped...)})
}
