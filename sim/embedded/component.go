package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/proc"
)

// The back-off before a component that ended unasked is started again is the kubelet's: none the first time, then ten seconds,
// doubled each time up to five minutes, and forgotten after ten minutes of running.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
const (
	backoffFirst  = 10 * time.Second
	backoffMost   = 5 * time.Minute
	backoffForget = 10 * time.Minute
)

// renewDeadline is how long a leader tries to renew its lease before it ends (--leader-elect-renew-deadline's default, which kubeadm leaves).
const renewDeadline = 10 * time.Second

// component is a process of a control plane node that is kept running, as the kubelet keeps a static pod's.
type component struct {
	cluster *Cluster
	node    string
	name    string
	command proc.Command

	mu      sync.Mutex
	release Release       // what its program is from
	off     bool          // its node has no power, so nothing starts it
	process *proc.Process // the last one that was started
	began   time.Time     // when that was
	unasked chan struct{} // closed when an end has been asked for; nil when it isn't to run
	kept    chan struct{} // closed when the last one has ended and nobody starts another
}

// start starts the process and keeps it running until stop. One that is still ending is waited for.
func (m *component) start(ctx context.Context) error {
	if err := m.awaitStopped(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unasked != nil {
		return nil
	}
	if m.off {
		return fmt.Errorf("start %q: its node has no power", m.command.Name)
	}
	process, err := m.cluster.options.Supervisor.Start(ctx, m.command)
	if err != nil {
		return err
	}
	m.process, m.began, m.unasked, m.kept = process, time.Now(), make(chan struct{}), make(chan struct{})
	asked, kept := m.unasked, m.kept
	m.cluster.running.Go(func() {
		defer close(kept)
		m.keep(process, asked)
	})
	return nil
}

// awaitStopped waits for the end of a process whose end was asked for.
func (m *component) awaitStopped(ctx context.Context) error {
	m.mu.Lock()
	kept := m.kept
	ending := m.unasked == nil && kept != nil
	m.mu.Unlock()
	if !ending {
		return nil
	}
	select {
	case <-kept:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("start %q: wait for the end of the one before: %w", m.command.Name, context.Cause(ctx))
	}
}

// keep waits for the end of the process and starts it again, until its end has been asked for.
func (m *component) keep(process *proc.Process, asked <-chan struct{}) {
	var pause time.Duration
	for {
		started := time.Now()
		err := m.wait(process, asked)
		ran := time.Since(started)
		if err == nil || !m.cluster.ended(m, ran, err) {
			return
		}
		if ran > backoffForget {
			pause = 0
		}
		for process = nil; process == nil; {
			select {
			case <-time.After(pause):
			case <-asked:
				return
			}
			pause = min(max(2*pause, backoffFirst), backoffMost)
			process = m.again(asked)
		}
	}
}

// wait returns nil when the end of the process was asked for, and otherwise how it ended.
func (m *component) wait(process *proc.Process, asked <-chan struct{}) error {
	<-process.Done()
	select {
	case <-asked:
		return nil
	default:
	}
	if err := process.Err(); err != nil {
		return err
	}
	return fmt.Errorf("process %q ended by itself, with exit status 0", m.command.Name)
}

// again starts the process again, unless its end was asked for meanwhile. A start that fails counts as one that ended at once.
func (m *component) again(asked <-chan struct{}) *proc.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-asked:
		return nil
	default:
	}
	process, err := m.cluster.options.Supervisor.Start(m.cluster.life, m.command)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			m.cluster.ended(m, 0, err)
		}
		return nil
	}
	m.process, m.began = process, time.Now()
	return process
}

// since tells since when the process runs, and whether it does.
func (m *component) since() (began time.Time, runs bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process == nil {
		return began, false
	}
	select {
	case <-m.process.Done():
		return began, false
	default:
		return m.began, true
	}
}

// from is the release that the component's program is from.
func (m *component) from() Release {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.release
}

// become makes the next start one of the release's program.
func (m *component) become(release Release) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.release = release
	if m.name != etcd { // which is this binary
		m.command.Path = filepath.Join(release.Dir, m.name)
	}
}

// with makes the next start one with these arguments.
func (m *component) with(args []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.command.Args = args
}

// power says whether the component's node has power. It stops nothing.
func (m *component) power(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = !on
}

// stop asks the process to end and waits until it has. With no grace it is killed at once, as by a power cut, also when
// it is ending already. One that does not run is no error.
func (m *component) stop(ctx context.Context, grace time.Duration) error {
	m.mu.Lock()
	if m.unasked != nil {
		close(m.unasked)
		m.unasked = nil
	}
	process, kept := m.process, m.kept
	m.mu.Unlock()
	if process == nil {
		return nil
	}
	var err error
	if grace > 0 {
		err = process.Stop(ctx, grace)
	} else {
		err = process.Kill()
	}
	if err != nil {
		return err // and whoever keeps it still waits for its end
	}
	<-kept
	return nil
}

// ended is told of an end that nobody asked for, after so long a run, and says whether to start the component again. While the cluster is being
// created, an end is the end of the creation, unless the component stumbled for the first time.
func (c *Cluster) ended(m *component, ran time.Duration, err error) (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failing != nil && c.stumbles(m, ran):
		c.stumbled[m] = true
	case c.failing != nil:
		c.failing(err)
		return false
	case c.life.Err() != nil:
		return false
	default:
		c.restarts = append(c.restarts, cluster.Restart{Time: time.Now(), Node: m.node, Component: m.name, Err: err})
	}
	how, _, _ := strings.Cut(err.Error(), "\n") // the last lines are in the component's log
	slog.Warn("a component ended and is started again", "node", m.node, "component", m.name, "error", how)
	return true
}

// stumbles says whether a component may have ended only because others are starting beside it, for the first time. Of several API servers one may lose the
// race to set up what is there once ("cannot create cluster IP allocator: another caller has already initialized the resource"). And who leads, on a machine
// that is too busy for its lease to be renewed in time, ends ("leaderelection lost"). Under a kubelet both are started again, and nobody notices.
func (c *Cluster) stumbles(m *component, ran time.Duration) bool {
	switch m.name {
	case apiServer:
		return len(c.planes) > 1 && !c.stumbled[m]
	case controllerManager, scheduler:
		return ran >= renewDeadline && !c.stumbled[m]
	}
	return false
}
