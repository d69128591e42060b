package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/embedded"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/release"
)

const (
	// clusterEntry is the hidden subcommand that runs one of our clusters: in a process of its own, whose memory can be told from ours.
	clusterEntry = "_cluster"
	// readyLine is what it prints when Create has returned.
	readyLine = "cluster is ready"
	// closeGrace is what it is given to close the cluster.
	closeGrace = 45 * time.Second
)

// kubernetesVersion is that of both clusters.
const kubernetesVersion = "v1.34.4"

// release has the Kubernetes binaries.
func (b *bench) release(ctx context.Context, components ...string) (release.Release, error) {
	store, err := release.NewStore(release.Options{
		Supervisor: func(context.Context) (*proc.Supervisor, error) { return b.supervisor, nil },
		Progress:   b.progress,
	})
	if err != nil {
		return release.Release{}, err
	}
	return store.Get(ctx, kubernetesVersion, components)
}

// ours is us.
func (b *bench) ours() maker { return maker{"seatrial", b.startOurs} }

func (b *bench) startOurs(ctx context.Context, s shape) (_ *running, err error) {
	binaries, err := b.release(ctx)
	if err != nil {
		return nil, err
	}
	t, err := b.newBerth()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	ready := make(chan struct{}, 1)
	began := time.Now()
	process, err := b.supervisor.Start(ctx, proc.Command{
		Name: "our cluster", Env: t.environment(os.Getenv("PATH")),
		Args: []string{
			clusterEntry, "-dir", string(t), "-release", binaries.Dir,
			"-control-planes", strconv.Itoa(s.controlPlanes), "-workers", strconv.Itoa(s.nodes),
		},
		OnLine: func(line string) {
			if line == readyLine {
				ready <- struct{}{}
			}
		},
	})
	if err != nil {
		return nil, errors.Join(err, b.supervisor.RemoveDir(string(t)))
	}
	r := &running{berth: t, stop: func(ctx context.Context) error {
		return errors.Join(process.Stop(ctx, closeGrace), process.Err(), b.leave(ctx, t))
	}}
	r.addPods = func(ctx context.Context, count int) error { return createPods(ctx, r.client, count) }
	if err := r.awaitOurs(ctx, s, process, ready, began); err != nil {
		return nil, errors.Join(err, r.close(ctx))
	}
	return r, nil
}

// awaitOurs waits until Create has returned and the cluster is what we call ready. Nodes can register from the moment at which the API is ready,
// and do: so that moment is looked for from outside, while the rest of the control plane still starts.
func (r *running) awaitOurs(ctx context.Context, s shape, process *proc.Process, ready <-chan struct{}, began time.Time) (err error) {
	ctx, end := during(ctx, process)
	defer end()
	if r.client, err = connect(ctx, filepath.Join(stateDir(string(r.berth)), "cp-1", "super-admin.conf")); err != nil {
		return err
	}
	if err := awaitAPI(ctx, r.client); err != nil {
		return err
	}
	r.nodesReady = r.watchNodes(process, s.controlPlanes+s.nodes)
	select {
	case <-ready:
	case <-ctx.Done():
		return fmt.Errorf("wait until our cluster is ready: %w; last seen: a ready API", context.Cause(ctx))
	}
	if err := awaitControllers(ctx, r.client); err != nil {
		return err
	}
	r.ready = time.Since(began)
	return nil
}

// watchNodes watches from now on until so many nodes are Ready. What it returns says how long that took.
func (r *running) watchNodes(process *proc.Process, want int) func(context.Context) (time.Duration, error) {
	since := time.Now()
	ready := make(chan error, 1)
	var elapsed time.Duration
	go func() {
		ctx, end := during(context.Background(), process)
		defer end()
		err := awaitNodes(ctx, r.client, want)
		elapsed = time.Since(since)
		ready <- err
	}()
	return func(ctx context.Context) (time.Duration, error) {
		select {
		case err := <-ready:
			return elapsed, err
		case <-ctx.Done():
			return 0, fmt.Errorf("wait until %d nodes are Ready: %w", want, context.Cause(ctx))
		}
	}
}

// errEnded is why a wait for something of our cluster ends early. What the process wrote last is said when it is stopped.
var errEnded = errors.New("our cluster ended")

// during returns a context that ends when the process does.
func during(ctx context.Context, process *proc.Process) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-process.Done():
			cancel(errEnded)
		case <-ctx.Done():
		}
	})
	return ctx, func() { cancel(nil); watching.Wait() }
}

// stateDir is where the keys of one of our clusters are.
func stateDir(dir string) string { return filepath.Join(dir, "state") }

// clusterMain runs one of our clusters until SIGTERM, and does nothing else.
func clusterMain(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := runCluster(ctx, args); err != nil {
		fmt.Fprintf(os.Stderr, "run a cluster: %v\n", err)
		return 1
	}
	return 0
}

func runCluster(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet(clusterEntry, flag.ContinueOnError)
	dir := flags.String("dir", "", "folder of the cluster")
	binaries := flags.String("release", "", "folder of the Kubernetes binaries")
	controlPlanes := flags.Int("control-planes", 1, "number of control planes")
	workers := flags.Int("workers", 1, "number of workers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	supervisor, err := proc.NewSupervisor(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, supervisor.Close(context.WithoutCancel(ctx))) }()
	provider := embedded.New(embedded.Options{
		Supervisor: supervisor,
		Releases: func(context.Context, string, []string) (embedded.Release, error) {
			return embedded.Release{Version: kubernetesVersion, Dir: *binaries}, nil
		},
	})
	c, err := provider.Create(ctx, cluster.Spec{
		Name: "bench", KubernetesVersion: kubernetesVersion, ControlPlanes: *controlPlanes, Workers: *workers,
		Dir: filepath.Join(*dir, "cluster"), StateDir: stateDir(*dir), Progress: os.Stderr,
	})
	if err != nil {
		return err
	}
	fmt.Println(readyLine)
	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	return c.Close(closing)
}
