package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/seatrial/seatrial/sim/gobuild"
	"github.com/seatrial/seatrial/sim/nodeimage"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/progress"
)

// The peer. Its etcd is of the version that is linked into ours.
const (
	kwokVersion = "v0.8.0"
	etcdVersion = "v3.6.16"
)

const (
	commandTimeout = 3 * time.Minute
	// peerCluster is the name of the peer's cluster.
	peerCluster = "bench"
)

var kwok = gobuild.Module{
	Name:     "kwok-" + kwokVersion,
	Require:  []string{"sigs.k8s.io/kwok/cmd/kwokctl@" + kwokVersion, "sigs.k8s.io/kwok/cmd/kwok@" + kwokVersion},
	Packages: map[string]string{"kwokctl": "sigs.k8s.io/kwok/cmd/kwokctl", "kwok": "sigs.k8s.io/kwok/cmd/kwok"},
}

// peer is where the peer's executables are.
type peer struct{ kwok, etcd, kubernetes string }

// kwokctl is the peer, built on first use.
func (b *bench) kwokctl(ctx context.Context) (maker, error) {
	if b.versus == nil {
		var p peer
		var err error
		if p.kwok, err = b.build(ctx, kwok); err != nil {
			return maker{}, err
		}
		if p.etcd, err = b.build(ctx, nodeimage.Etcd(etcdVersion)); err != nil {
			return maker{}, err
		}
		// kwokctl finds out with kubectl whether its API server answers, and would download one.
		kubernetes, err := b.release(ctx, "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
		if err != nil {
			return maker{}, err
		}
		p.kubernetes = kubernetes.Dir
		b.versus = &p
	}
	return maker{"kwokctl", b.startPeer}, nil
}

// build builds a module's executables, or finds them built, and returns their folder.
func (b *bench) build(ctx context.Context, m gobuild.Module) (string, error) {
	store, err := gobuild.NewStore(gobuild.Options{
		Supervisor: func(context.Context) (*proc.Supervisor, error) { return b.supervisor, nil }, Progress: progress.New(b.progress),
	})
	if err != nil {
		return "", err
	}
	return store.Get(ctx, m)
}

// command runs a command to its end. The error has what it wrote last.
func command(ctx context.Context, dir string, environment []string, path string, args ...string) error {
	c := exec.CommandContext(ctx, path, args...)
	c.Dir, c.Env = dir, environment
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	const most = 2000
	if len(out) > most {
		out = out[len(out)-most:]
	}
	return fmt.Errorf("%s %s: %w; last output: %s", filepath.Base(path), strings.Join(args, " "), err, strings.TrimSpace(string(out)))
}

// run runs kwokctl for the cluster in a berth.
func (p *peer) run(ctx context.Context, t berth, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	path := p.kubernetes + string(filepath.ListSeparator) + os.Getenv("PATH")
	environment := t.environment(path, "KWOK_WORKDIR="+p.workdir(t), "KWOK_KUBE_VERSION="+kubernetesVersion)
	return command(ctx, string(t), environment, filepath.Join(p.kwok, "kwokctl"), append(args, "--name", peerCluster)...)
}

func (p *peer) workdir(t berth) string { return filepath.Join(string(t), "kwok") }

func (b *bench) startPeer(ctx context.Context, s shape) (_ *running, err error) {
	t, err := b.newBerth()
	if err != nil {
		return nil, err
	}
	p := b.versus
	r := &running{berth: t, stop: func(ctx context.Context) error {
		return errors.Join(p.run(ctx, t, "delete", "cluster"), b.leave(ctx, t))
	}}
	scale := func(ctx context.Context, what string, count int) error {
		return p.run(ctx, t, "scale", what, "--replicas", strconv.Itoa(count))
	}
	r.nodesReady = func(ctx context.Context) (time.Duration, error) {
		since := time.Now()
		if err := scale(ctx, "node", s.nodes); err != nil {
			return 0, err
		}
		err := awaitNodes(ctx, r.client, s.nodes)
		return time.Since(since), err
	}
	r.addPods = func(ctx context.Context, count int) error { return scale(ctx, "pod", count) }
	if err := r.awaitPeer(ctx, p); err != nil {
		return nil, errors.Join(err, r.close(ctx))
	}
	return r, nil
}

// awaitPeer creates the peer's cluster and waits until it is what we call ready: kwokctl itself is content with an API that answers.
func (r *running) awaitPeer(ctx context.Context, p *peer) error {
	began := time.Now()
	kubernetes := func(name string) string { return filepath.Join(p.kubernetes, name) }
	err := p.run(ctx, r.berth, "create", "cluster",
		"--runtime", "binary", "--disable-qps-limits",
		"--kubeconfig", filepath.Join(string(r.berth), "kubeconfig"), // and not the user's
		"--kube-apiserver-binary", kubernetes("kube-apiserver"),
		"--kube-controller-manager-binary", kubernetes("kube-controller-manager"),
		"--kube-scheduler-binary", kubernetes("kube-scheduler"),
		"--etcd-binary", filepath.Join(p.etcd, "etcd"),
		"--kwok-controller-binary", filepath.Join(p.kwok, "kwok"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	if r.client, err = connect(ctx, filepath.Join(p.workdir(r.berth), "clusters", peerCluster, "kubeconfig.yaml")); err != nil {
		return err
	}
	if err := awaitAPI(ctx, r.client); err != nil {
		return err
	}
	if err := awaitControllers(ctx, r.client); err != nil {
		return err
	}
	r.ready = time.Since(began)
	return nil
}
