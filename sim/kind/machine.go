package kind

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
)

// plainName is a DNS label.
var plainName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// machine is a node and the container that it is.
type machine struct {
	node      string
	role      cluster.Role
	container string
}

// machines are the nodes of a cluster in the order in which kind's configuration lists them. The nodes have the names that scenarios use; the containers
// have those that kind gives them ("NAME-worker", "NAME-worker2", …).
func machines(spec cluster.Spec) []machine {
	var all []machine
	group := func(role cluster.Role, prefix string, count int) {
		for i := range count {
			container := spec.Name + "-" + string(role)
			if i > 0 {
				container += strconv.Itoa(i + 1)
			}
			all = append(all, machine{node: fmt.Sprintf("%s-%d", prefix, i+1), role: role, container: container})
		}
	}
	group(cluster.ControlPlane, "cp", spec.ControlPlanes)
	group(cluster.Worker, "worker", spec.Workers)
	return all
}

// machine is the machine of a node.
func (c *Cluster) machine(node string) (machine, error) {
	for _, m := range c.machines {
		if m.node == node {
			return m, nil
		}
	}
	return machine{}, fmt.Errorf("cluster %q has no node %q", c.spec.Name, node)
}

// controlPlanes are the machines with an API server.
func (c *Cluster) controlPlanes() []machine { return c.machines[:c.spec.ControlPlanes] }

// configuration is the cluster in kind's own format. Of kubeadm's configuration we change the names of nodes, and, where the machine has control groups
// of version 1, that the kubelet refuses them from 1.35 on.
func configuration(spec cluster.Spec, image Image, oldCgroups bool) (*v1alpha4.Cluster, error) {
	config := &v1alpha4.Cluster{
		TypeMeta: v1alpha4.TypeMeta{APIVersion: "kind.x-k8s.io/v1alpha4", Kind: "Cluster"}, Name: spec.Name,
		FeatureGates: spec.FeatureGates, RuntimeConfig: map[string]string{},
		Networking: v1alpha4.Networking{IPFamily: v1alpha4.IPv4Family, APIServerAddress: "127.0.0.1"},
	}
	for api, served := range spec.RuntimeConfig {
		config.RuntimeConfig[api] = strconv.FormatBool(served)
	}
	if oldCgroups && (refusesOldCgroups(image.Version) || slices.ContainsFunc(image.Targets, func(t Target) bool { return refusesOldCgroups(t.Version) })) {
		config.KubeadmConfigPatches = []string{"kind: KubeletConfiguration\nfailCgroupV1: false\n"}
	}
	if patch := image.Tags.patch(); patch != "" {
		config.KubeadmConfigPatches = append(config.KubeadmConfigPatches, patch)
	}
	for _, m := range machines(spec) {
		config.Nodes = append(config.Nodes, v1alpha4.Node{
			Role: v1alpha4.NodeRole(m.role), Image: image.Ref,
			KubeadmConfigPatches: []string{
				"kind: InitConfiguration\nnodeRegistration:\n  name: " + m.node + "\n",
				"kind: JoinConfiguration\nnodeRegistration:\n  name: " + m.node + "\n",
			},
		})
	}
	return config, certificates(config, spec, image.Version)
}

// oldCgroups tells whether the machine has control groups of version 1, be it in part.
func (c *Cluster) oldCgroups(ctx context.Context) bool {
	return engine.Look(ctx, c.engine.Name).Cgroups != engine.Unified
}

// refusesOldCgroups tells whether a kubelet and a kubeadm of this version refuse control groups of version 1 unless told otherwise.
// https://kubernetes.io/docs/concepts/architecture/cgroups/#deprecation-of-cgroup-v1
func refusesOldCgroups(version string) bool {
	return minorOf(version) >= 35
}

// minorOf is the minor of an exact version.
func minorOf(version string) int {
	var minor int
	if _, err := fmt.Sscanf(version, "v1.%d.", &minor); err != nil {
		return 0
	}
	return minor
}
