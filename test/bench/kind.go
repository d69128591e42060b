package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	kindlib "sigs.k8s.io/kind/pkg/cluster"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/kind"
	"github.com/seatrial/seatrial/sim/ready"
)

const (
	limitKindCreate = 1.1
	limitKindDrain  = 1.1
	limitImage      = 5 // seconds
)

// plainName is what the plain library's cluster and its network are called.
const plainName = "seatrial-bench-plain"

// kindBench is what the measurements on kind clusters work with.
type kindBench struct {
	*bench
	engine *engine.Client
	image  kind.Image
}

// onKind has something measured on kind clusters, where an engine works.
func onKind(measure func(*kindBench, context.Context) ([]row, error)) func(context.Context, *bench) ([]row, error) {
	return func(ctx context.Context, b *bench) ([]row, error) {
		client, err := engine.Open(ctx, b.supervisor, "")
		var missing *engine.MissingError
		if errors.As(err, &missing) {
			b.say("SKIP: %v", err)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return measure(&kindBench{bench: b, engine: client}, ctx)
	}
}

// measureKind measures how long kind clusters, images and drains take.
func (k *kindBench) measureKind(ctx context.Context) ([]row, error) {
	cached, err := k.buildImage(ctx)
	if err != nil {
		return nil, err
	}
	create, err := k.measureCreate(ctx)
	if err != nil {
		return nil, err
	}
	drain, err := k.measureDrain(ctx)
	return append([]row{create, {"image build, all cached", took(cached), nil, limitImage}}, drain...), err
}

// buildImage has the image built, and then once more, when there is nothing to do, which it times.
func (k *kindBench) buildImage(ctx context.Context) (time.Duration, error) {
	var times []time.Duration
	for range 2 {
		began := time.Now()
		out, err := exec.CommandContext(ctx, k.seatrial, "image", "build", kubernetesVersion).Output()
		if err != nil {
			return 0, fmt.Errorf("seatrial image build: %w", err)
		}
		times = append(times, time.Since(began))
		ref, _, _ := strings.Cut(string(out), "\n")
		k.image = kind.Image{Ref: ref, Version: kubernetesVersion}
	}
	k.say("seatrial image build took %.1f s when there was nothing to do", times[1].Seconds())
	return times[1], nil
}

// measureCreate makes clusters of one control plane and two workers, by turns ours and the plain library's.
func (k *kindBench) measureCreate(ctx context.Context) (row, error) {
	var ours, plain []time.Duration
	for range k.rounds {
		for _, turn := range []struct {
			name string
			make func(context.Context) (time.Duration, error)
			to   *[]time.Duration
		}{{"seatrial", k.createOurs, &ours}, {"kind", k.createPlain, &plain}} {
			d, err := turn.make(ctx)
			if err != nil {
				return row{}, fmt.Errorf("make a cluster with %s: %w", turn.name, err)
			}
			k.say("%s: 1 control plane and 2 workers ready after %.1f s", turn.name, d.Seconds())
			*turn.to = append(*turn.to, d)
		}
	}
	theirs := took(median(plain))
	return row{"kind: 1 control plane and 2 workers ready", took(median(ours)), &theirs, limitKindCreate}, nil
}

func (k *kindBench) createOurs(ctx context.Context) (d time.Duration, err error) {
	provider := kind.New(kind.Options{
		Supervisor: k.supervisor, Engine: func(context.Context) (*engine.Client, error) { return k.engine, nil },
		Images: func(context.Context, string, []string, bool, io.Writer) (kind.Image, error) { return k.image, nil },
	})
	t, err := k.newBerth()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, k.supervisor.RemoveDir(string(t))) }()
	began := time.Now()
	c, err := provider.Create(ctx, cluster.Spec{
		Name: "seatrial-bench-ours", KubernetesVersion: kubernetesVersion, ControlPlanes: 1, Workers: 2, Dir: string(t), StateDir: string(t),
	})
	if err != nil {
		return 0, err
	}
	return time.Since(began), c.Close(ctx)
}

// createPlain makes a cluster with the library as its users do, and waits until all nodes are Ready, as ours does.
func (k *kindBench) createPlain(ctx context.Context) (d time.Duration, err error) {
	for _, variable := range append(k.engine.Environment(), "KIND_EXPERIMENTAL_PODMAN_NETWORK="+plainName, "KIND_EXPERIMENTAL_DOCKER_NETWORK="+plainName) {
		name, value, _ := strings.Cut(variable, "=")
		if err := os.Setenv(name, value); err != nil {
			return 0, err
		}
	}
	which := kindlib.ProviderWithDocker()
	if k.engine.Name == engine.Podman {
		which = kindlib.ProviderWithPodman()
	}
	t, err := k.newBerth()
	if err != nil {
		return 0, err
	}
	library, kubeconfig := kindlib.NewProvider(which), filepath.Join(string(t), "kubeconfig")
	defer func() {
		err = errors.Join(err, library.Delete(plainName, kubeconfig), k.engine.Do(context.WithoutCancel(ctx), engine.Command{Args: []string{"network", "rm", plainName}}),
			k.supervisor.RemoveDir(string(t)))
	}()
	config := "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: control-plane}, {role: worker}, {role: worker}]\n"
	began := time.Now()
	err = library.Create(plainName, kindlib.CreateWithRawConfig([]byte(config)), kindlib.CreateWithNodeImage(k.image.Ref),
		kindlib.CreateWithKubeconfigPath(kubeconfig), kindlib.CreateWithWaitForReady(createTimeout))
	if err != nil {
		return 0, err
	}
	client, err := connect(ctx, kubeconfig)
	if err != nil {
		return 0, err
	}
	names := []string{plainName + "-control-plane", plainName + "-worker", plainName + "-worker2"}
	err = ready.Nodes(ctx, client, names)
	return time.Since(began), err
}

// drainScenario drains every worker of a cluster in turn. kubectl looks whether pods are gone once a second, so one drain alone would be measured
// to a second and no finer.
const (
	drainScenario = `apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: bench-drain}
spec:
  cluster: {kubernetesVersion: v1.34, controlPlanes: 1, workers: 3}
  objects: [{file: web.yaml}]
  probes: [{name: web, service: {namespace: production, name: web, port: 80}}]
  steps:
`
	drainSteps = `  - {id: drain-%[1]d, drain: {node: worker-%[1]d, ignoreDaemonSets: true, timeout: 60s}}
  - {id: recover-%[1]d, wait: {object: deployment/web, namespace: production, for: rollout}}
  - {id: uncordon-%[1]d, uncordon: {node: worker-%[1]d}}
`
	drainWorkers = 3
	drainObjects = "scenarios/drain-web/web.yaml"
)

// measureDrain rehearses on kind and keeps the cluster; then kubectl makes the same objects anew there and gives the same commands.
func (k *kindBench) measureDrain(ctx context.Context) (rows []row, err error) {
	var ours, theirs []time.Duration
	for range k.rounds {
		a, b, err := k.drainRound(ctx)
		if err != nil {
			return nil, err
		}
		k.say("drain of %d workers in turn: steps took %.2f s, kubectl's commands %.2f s", drainWorkers, a.Seconds(), b.Seconds())
		ours, theirs = append(ours, a), append(theirs, b)
	}
	peer := took(median(theirs))
	return []row{{"kind: the steps of a drain scenario", took(median(ours)), &peer, limitKindDrain}}, nil
}

func (k *kindBench) drainRound(ctx context.Context) (ours, theirs time.Duration, err error) {
	text := drainScenario
	for worker := range drainWorkers {
		text += fmt.Sprintf(drainSteps, worker+1)
	}
	err = k.onKept(ctx, "bench-drain", text, drainObjects, 0, func(r rehearsal) (err error) {
		ours = r.stepsTook()
		theirs, err = k.drainScript(ctx, r.name)
		return err
	})
	return ours, theirs, err
}

// onKept runs a scenario on kind with the objects of a file, wants that exit status, does something with the cluster, which is kept until then, and removes it.
func (k *kindBench) onKept(ctx context.Context, name, text, objectsFile string, status int, do func(rehearsal) error) (err error) {
	t, err := k.newBerth()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.supervisor.RemoveDir(string(t))) }()
	objects, err := os.ReadFile(objectsFile)
	if err != nil {
		return err
	}
	folder := filepath.Join(string(t), name)
	if err := writeScenario(folder, text, filepath.Base(objectsFile), objects); err != nil {
		return err
	}
	r, err := k.rehearse(ctx, t, folder, status, "--provider", "kind", "--keep", "always")
	if r.name != "" {
		defer func() {
			err = errors.Join(err, exec.CommandContext(context.WithoutCancel(ctx), k.seatrial, "gc", r.name).Run())
		}()
	}
	if err != nil {
		return err
	}
	return do(r)
}

// drainScript gives the commands of the scenario's steps with kubectl, to pods as young as those of the rehearsal: a kubelet takes up to a second longer to begin
// stopping a pod that it has just looked after.
func (k *kindBench) drainScript(ctx context.Context, cluster string) (time.Duration, error) {
	kubectl, err := k.kubectl(ctx, cluster)
	if err != nil {
		return 0, err
	}
	for _, args := range [][]string{{"delete", "--wait", "-f", drainObjects}, {"apply", "-f", drainObjects}, rollout} {
		if err := kubectl(args...); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	for worker := range drainWorkers {
		node := fmt.Sprintf("worker-%d", worker+1)
		for _, args := range [][]string{{"drain", node, "--ignore-daemonsets", "--timeout=60s"}, rollout, {"uncordon", node}} {
			if err := kubectl(args...); err != nil {
				return 0, err
			}
		}
	}
	return time.Since(began), nil
}

// rollout waits until the web servers are complete.
var rollout = []string{"rollout", "status", "deployment/web", "--namespace", "production", "--timeout=120s"}

// kubectl gives commands to a cluster that a run kept.
func (k *kindBench) kubectl(ctx context.Context, cluster string) (func(args ...string) error, error) {
	binaries, err := k.release(ctx, "kubectl")
	if err != nil {
		return nil, err
	}
	kubeconfig, err := keptKubeconfig(cluster)
	return func(args ...string) error {
		args = append([]string{"--kubeconfig", kubeconfig}, args...)
		out, err := exec.CommandContext(ctx, filepath.Join(binaries.Dir, "kubectl"), args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("kubectl %s: %w; output: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}, err
}

// keptKubeconfig is where seatrial keeps that of a cluster which a run kept.
func keptKubeconfig(cluster string) (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "seatrial", "clusters", cluster+".kubeconfig"), err
}
