package kind

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/flagcheck"
	"github.com/seatrial/seatrial/sim/proc"
)

// The capability Upgrader, by kubeadm's own commands in the nodes. What a new kubelet does to a control plane is in settle.go, what kubeadm is told of images in tags.go.

// Target is a version that the nodes can be upgraded to.
type Target struct {
	// Version is exact.
	Version string
	// Tags are those of its images that are not what its kubeadm asks for.
	Tags Tags
}

// target is the version that the nodes were prepared for under that name, a minor or exact.
func (c *Cluster) target(version string) (Target, error) {
	for _, t := range c.image.Targets {
		if t.Version == version || strings.HasPrefix(t.Version, version+".") {
			return t, nil
		}
	}
	return Target{}, fmt.Errorf("the nodes of cluster %q were not prepared for %s", c.spec.Name, version)
}

// nodeAndTarget is the node with that name, and the version that it was prepared for.
func (c *Cluster) nodeAndTarget(node, version string) (machine, Target, error) {
	t, err := c.target(version)
	if err != nil {
		return machine{}, t, err
	}
	m, err := c.machine(node)
	return m, t, err
}

// staged is a program of a version where the image has it.
func (c *Cluster) staged(t Target, program string) string {
	return path.Join(c.options.StageDir, t.Version, program)
}

// Stage looks whether the programs of the version are on the node: the image has them and the version's images from the beginning, as a package cache that was filled before.
func (c *Cluster) Stage(ctx context.Context, node, version string) (string, error) {
	m, t, err := c.nodeAndTarget(node, version)
	if err != nil {
		return "", err
	}
	if _, err := c.run(ctx, m, nil, "ls", c.staged(t, "kubeadm"), c.staged(t, "kubelet"), c.staged(t, "kubectl")); err != nil {
		return "", refused(node, t, "", err)
	}
	return t.Version, nil
}

// imageOf is the image that kubeadm runs a component of the control plane from.
// https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/
func (t Target) imageOf(component string) string {
	return "registry.k8s.io/" + component + ":" + t.Version
}

// CheckFlags has each component's program of the version read the flags with which the one of now runs: those of a control plane, which are in their images, print their version when they know them all. The kubelet, which is staged,
// reads its configuration file too.
func (c *Cluster) CheckFlags(ctx context.Context, node, version string) ([]cluster.FlagCheck, error) {
	m, t, err := c.nodeAndTarget(node, version)
	if err != nil {
		return nil, err
	}
	components := []string{"kubelet"}
	if m.role == cluster.ControlPlane {
		components = append(components, "kube-apiserver", "kube-controller-manager", "kube-scheduler")
	}
	var checks []cluster.FlagCheck
	for _, component := range components {
		check, err := c.checkFlags(ctx, m, t, component)
		if err != nil {
			return nil, fmt.Errorf("check the flags of %s of node %q: %w", component, node, err)
		}
		checks = append(checks, check)
	}
	return checks, nil
}

// checkFlags runs a program of the version with the arguments of the component that runs on the node. That ctr can't start it is no answer of the program.
func (c *Cluster) checkFlags(ctx context.Context, m machine, t Target, component string) (cluster.FlagCheck, error) {
	args, err := c.arguments(ctx, m, component)
	if err != nil {
		return cluster.FlagCheck{}, err
	}
	if component == "kubelet" {
		env, err := c.read(ctx, m, "/var/lib/kubelet", kubeadmFlags)
		if err != nil {
			return cluster.FlagCheck{}, err
		}
		args = slices.Concat([]string{c.staged(t, component)}, withoutDropped(args, string(env[kubeadmFlags]), t.Version), []string{flagcheck.Impossible})
		_, err = c.run(ctx, m, nil, args...)
		return flagcheck.Kubelet(err)
	}
	program := []string{"ctr", "--namespace=k8s.io", "run", "--rm", t.imageOf(component), "seatrial-flags-" + component + "-" + t.Version, component}
	_, err = c.run(ctx, m, nil, slices.Concat(program, args, []string{"--version"})...)
	if exit := (*proc.ExitError)(nil); errors.As(err, &exit) && slices.ContainsFunc(exit.LastLines, func(line string) bool { return strings.HasPrefix(line, "ctr: ") }) {
		return cluster.FlagCheck{}, err
	}
	return flagcheck.Answer(component, err)
}

// arguments are those of the component's process on the node, without its name.
func (c *Cluster) arguments(ctx context.Context, m machine, component string) ([]string, error) {
	pids, err := c.pids(ctx, m, component)
	if err != nil {
		return nil, err
	}
	if len(pids) != 1 {
		return nil, fmt.Errorf("expected one process of it, seen: %d", len(pids))
	}
	commandLine, err := c.run(ctx, m, nil, "cat", "/proc/"+pids[0]+"/cmdline") // proc_pid_cmdline(5): a NUL after each argument
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(commandLine, "\x00"), "\x00")[1:], nil
}

const (
	// kubeadmFlags is the file in which kubeadm keeps the kubelet's flags, in /var/lib/kubelet.
	kubeadmFlags = "kubeadm-flags.env"
	// dropped is the flag that kubeadm takes out of that file, and only there, when it upgrades a node to droppedIn or later: https://github.com/kubernetes/kubernetes/pull/133778.
	dropped   = "--pod-infra-container-image"
	droppedIn = "v1.35"
)

// withoutDropped leaves out of a kubelet's arguments what kubeadm takes out before the kubelet of the version is started.
func withoutDropped(args []string, env, version string) []string {
	if semver.Compare(version, droppedIn) < 0 {
		return args
	}
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, dropped+"=") && strings.Contains(env, arg) })
}

// InstallKubeadm puts the version's kubeadm where the node runs it, and has it say its version.
func (c *Cluster) InstallKubeadm(ctx context.Context, node, version string) (string, error) {
	m, t, err := c.install(ctx, node, version, "kubeadm")
	if err != nil {
		return "", err
	}
	if err := c.saysVersion(ctx, m, t, "", t.Version, "kubeadm", "version", "--output=short"); err != nil {
		return "", err
	}
	return t.Version, nil
}

// saysVersion runs a program that was installed: one that is damaged, or of another version, is found before anything depends on it.
func (c *Cluster) saysVersion(ctx context.Context, m machine, t Target, component, want string, argv ...string) error {
	said, err := c.run(ctx, m, nil, argv...)
	if err != nil {
		return refused(m.node, t, component, err)
	}
	if said = strings.TrimSpace(said); said != want {
		return &cluster.UpgradeError{Node: m.node, Version: t.Version, Component: component, Err: fmt.Errorf("the %s installed says that it is %q", argv[0], said)}
	}
	return nil
}

// CheckUpgrade is kubeadm upgrade plan, in a cluster that tells kubeadm of the images that there are.
func (c *Cluster) CheckUpgrade(ctx context.Context, node, version string) error {
	m, t, err := c.nodeAndTarget(node, version)
	if err != nil {
		return err
	}
	if err := c.retag(ctx, t.Tags); err != nil {
		return fmt.Errorf("prepare the upgrade to %s: %w", t.Version, err)
	}
	_, err = c.run(ctx, m, nil, "kubeadm", "upgrade", "plan", t.Version)
	return refused(node, t, "", err)
}

// restoredTimeout is how long what kubeadm has put back may take to answer: an API server that was ended with its etcd took less than a minute.
const restoredTimeout = 3 * time.Minute

// UpgradeControlPlane is kubeadm upgrade apply, or node. It waits for each component, and puts back what was there before when one does not come up. That is waited for too: kubeadm
// does not, and without an API nobody sees what became of the cluster.
func (c *Cluster) UpgradeControlPlane(ctx context.Context, node, version string, how cluster.ControlPlaneUpgrade) error {
	m, t, err := c.nodeAndTarget(node, version)
	if err != nil {
		return err
	}
	c.lookForRestarts(ctx)
	argv := []string{"upgrade", "node"}
	if how.First {
		argv = []string{"upgrade", "apply", "--yes", t.Version}
	}
	if how.KeepCertificates {
		argv = append(argv, "--certificate-renewal=false")
	}
	if err := c.kubeadm(ctx, m, t, argv...); err != nil {
		waiting, cancel := context.WithTimeout(ctx, restoredTimeout)
		defer cancel()
		return errors.Join(refused(node, t, "", err), c.awaitServerOf(waiting, node))
	}
	c.lookForRestarts(ctx)
	return nil
}

// UpgradeWorker is kubeadm upgrade node.
func (c *Cluster) UpgradeWorker(ctx context.Context, node, version string) error {
	m, t, err := c.nodeAndTarget(node, version)
	if err != nil {
		return err
	}
	return refused(node, t, "", c.kubeadm(ctx, m, t, "upgrade", "node"))
}

// kubeadm runs the target's kubeadm for an upgrade of a node.
func (c *Cluster) kubeadm(ctx context.Context, m machine, t Target, args ...string) error {
	_, err := c.run(ctx, m, nil, append([]string{"kubeadm"}, acceptingOldCgroups(args, t.Version, c.oldCgroups(ctx))...)...)
	return err
}

// acceptingOldCgroups has kubeadm pass over control groups of version 1, which it refuses from 1.35 on although the kubelet was told to take them: then it is to
// be told too, as it says itself. Its other checks of the node are passed over with it; before 1.35 they were made.
func acceptingOldCgroups(args []string, version string, old bool) []string {
	if old && refusesOldCgroups(version) {
		return append(slices.Clone(args), "--ignore-preflight-errors=SystemVerification")
	}
	return args
}

// UpgradeKubelet installs kubelet and kubectl and restarts the kubelet. On a control plane it returns when what the new kubelet restarts answers again.
func (c *Cluster) UpgradeKubelet(ctx context.Context, node, version string) error {
	m, t, err := c.install(ctx, node, version, "kubelet", "kubectl")
	if err != nil {
		return err
	}
	if err := c.saysVersion(ctx, m, t, "kubelet", "Kubernetes "+t.Version, "kubelet", "--version"); err != nil {
		return err
	}
	before, err := c.staticPods(ctx, m)
	if err != nil {
		return err
	}
	c.lookForRestarts(ctx)
	for _, argv := range [][]string{{"systemctl", "daemon-reload"}, {"systemctl", "restart", "kubelet"}} {
		if _, err := c.run(ctx, m, nil, argv...); err != nil {
			return refused(node, t, "kubelet", err)
		}
	}
	if err := c.settle(ctx, m, before); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) { // a control plane that does not work under its new kubelet
			return &cluster.UpgradeError{Node: node, Version: t.Version, Err: err}
		}
		return err
	}
	c.lookForRestarts(ctx)
	return nil
}

// install puts programs of a version where the node runs them, in place of a package manager.
func (c *Cluster) install(ctx context.Context, node, version string, programs ...string) (machine, Target, error) {
	m, t, err := c.nodeAndTarget(node, version)
	if err != nil {
		return m, t, err
	}
	argv := []string{"install", "--mode=0755", "--target-directory=/usr/bin"}
	for _, program := range programs {
		argv = append(argv, c.staged(t, program))
	}
	_, err = c.run(ctx, m, nil, argv...)
	return m, t, refused(node, t, "", err)
}

// refused makes the failure of a command one of the node's. What else goes wrong is no verdict on the version.
func refused(node string, t Target, component string, err error) error {
	if exit := (*proc.ExitError)(nil); errors.As(err, &exit) {
		return &cluster.UpgradeError{Node: node, Version: t.Version, Component: component, Err: err}
	}
	return err
}
