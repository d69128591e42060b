package kind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/ready"
)

// Target is a version that the nodes can be upgraded to.
type Target struct {
	// Version is exact.
	Version string
	// Tags are those of its images that are not what its kubeadm asks for.
	Tags Tags
}

// Tags are tags of images in place of those that a kubeadm asks for; "" when they are the same.
type Tags struct{ Etcd, CoreDNS string }

// target is the version that the nodes were prepared for under that name, a minor or exact.
func (c *Cluster) target(version string) (Target, error) {
	for _, t := range c.image.Targets {
		if t.Version == version || strings.HasPrefix(t.Version, version+".") {
			return t, nil
		}
	}
	return Target{}, fmt.Errorf("the nodes of cluster %q were not prepared for %s", c.spec.Name, version)
}

// staged is a program of a version where the image has it.
func (c *Cluster) staged(t Target, program string) string {
	return path.Join(c.options.StageDir, t.Version, program)
}

// Stage looks whether the programs of the version are on the node: the image has them and the version's images from the beginning, as a package cache that was filled before.
func (c *Cluster) Stage(ctx context.Context, node, version string) (string, error) {
	t, err := c.target(version)
	if err != nil {
		return "", err
	}
	m, err := c.machine(node)
	if err != nil {
		return "", err
	}
	if _, err := c.run(ctx, m, nil, "ls", c.staged(t, "kubeadm"), c.staged(t, "kubelet"), c.staged(t, "kubectl")); err != nil {
		return "", refused(node, t, "", err)
	}
	return t.Version, nil
}

// CheckUpgrade installs kubeadm and has it look: kubeadm upgrade plan.
func (c *Cluster) CheckUpgrade(ctx context.Context, node, version string) error {
	m, t, err := c.install(ctx, node, version, "kubeadm")
	if err != nil {
		return err
	}
	if err := c.retag(ctx, t.Tags); err != nil {
		return fmt.Errorf("prepare the upgrade to %s: %w", t.Version, err)
	}
	_, err = c.run(ctx, m, nil, "kubeadm", "upgrade", "plan", t.Version)
	return refused(node, t, "", err)
}

// UpgradeControlPlane is kubeadm upgrade apply, or node. It waits for each component, and puts back what was there before when one does not come up.
func (c *Cluster) UpgradeControlPlane(ctx context.Context, node, version string, first bool) error {
	m, t, err := c.install(ctx, node, version, "kubeadm")
	if err != nil {
		return err
	}
	argv := []string{"kubeadm", "upgrade", "node"}
	if first {
		argv = []string{"kubeadm", "upgrade", "apply", "--yes", t.Version}
	}
	_, err = c.run(ctx, m, nil, argv...)
	return refused(node, t, "", err)
}

// UpgradeWorker is kubeadm upgrade node.
func (c *Cluster) UpgradeWorker(ctx context.Context, node, version string) error {
	m, t, err := c.install(ctx, node, version, "kubeadm")
	if err != nil {
		return err
	}
	_, err = c.run(ctx, m, nil, "kubeadm", "upgrade", "node")
	return refused(node, t, "", err)
}

// UpgradeKubelet installs kubelet and kubectl and restarts the kubelet. On a control plane it returns when what the new kubelet restarts answers again.
func (c *Cluster) UpgradeKubelet(ctx context.Context, node, version string) error {
	m, t, err := c.install(ctx, node, version, "kubelet", "kubectl")
	if err != nil {
		return err
	}
	before, err := c.staticPods(ctx, m)
	if err != nil {
		return err
	}
	for _, argv := range [][]string{{"systemctl", "daemon-reload"}, {"systemctl", "restart", "kubelet"}} {
		if _, err := c.run(ctx, m, nil, argv...); err != nil {
			return refused(node, t, "kubelet", err)
		}
	}
	return c.settle(ctx, m, before)
}

// staticPods are the processes of the components of a control plane by their names; none on a worker.
func (c *Cluster) staticPods(ctx context.Context, m machine) (map[string][]string, error) {
	found := map[string][]string{}
	if m.role != cluster.ControlPlane {
		return found, nil
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		pids, err := c.pids(ctx, m, name)
		if err != nil {
			return nil, err
		}
		found[name] = pids
	}
	return found, nil
}

// settleTime is how long a kubelet that was restarted may take to begin with its static pods: one of another minor was seen to after six seconds.
const settleTime = 20 * time.Second

// settle waits for what a new kubelet does to a control plane; on a worker there is nothing. One of another minor starts the containers of all static pods again, since it describes them in other words, and so the API goes away once more just when
// the next operation has begun.
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
	for _, server := range c.servers {
		if server.Node == m.node {
			return awaitServer(ctx, server)
		}
	}
	return nil
}

// install puts programs of a version where the node runs them, in place of a package manager.
func (c *Cluster) install(ctx context.Context, node, version string, programs ...string) (machine, Target, error) {
	t, err := c.target(version)
	if err != nil {
		return machine{}, t, err
	}
	m, err := c.machine(node)
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

// retag tells kubeadm, in its configuration in the cluster, which images of etcd and CoreDNS there are when they are not those that it would choose, and nothing when they are.
// https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/
func (c *Cluster) retag(ctx context.Context, tags Tags) error {
	maps := c.client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		stored, err := maps.Get(ctx, "kubeadm-config", metav1.GetOptions{})
		if err != nil {
			return err
		}
		changed, err := retagged(stored, tags)
		if err != nil || !changed {
			return err
		}
		_, err = maps.Update(ctx, stored, metav1.UpdateOptions{})
		return err
	})
}

// retagged changes the tags in kubeadm's configuration, and says whether they were others.
func retagged(stored *corev1.ConfigMap, tags Tags) (changed bool, err error) {
	const key = "ClusterConfiguration"
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(stored.Data[key]), &config); err != nil {
		return false, fmt.Errorf("read kubeadm's configuration: %w", err)
	}
	set := func(tag string, path ...string) {
		at := config
		for _, name := range path {
			below, ok := at[name].(map[string]any)
			if !ok {
				below = map[string]any{}
				at[name] = below
			}
			at = below
		}
		if has, _ := at["imageTag"].(string); has == tag {
			return
		}
		changed = true
		at["imageTag"] = tag
		if tag == "" {
			delete(at, "imageTag")
		}
	}
	set(tags.Etcd, "etcd", "local")
	set(tags.CoreDNS, "dns")
	if !changed {
		return false, nil
	}
	text, err := yaml.Marshal(config)
	stored.Data[key] = string(text)
	return true, err
}
