package kind

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/proc"
)

func TestRetagged(t *testing.T) {
	for name, c := range map[string]struct {
		config, want string
		tags         Tags
	}{
		"nothing to say, nothing said": {config: "dns: {}\netcd:\n  local:\n    dataDir: /var/lib/etcd\n"},
		"what was said of the version before is taken back": {
			config: "etcd:\n  local:\n    dataDir: /var/lib/etcd\n    imageTag: 3.5.31-0\n", want: "dns: {}\netcd:\n  local:\n    dataDir: /var/lib/etcd\n",
		},
		"others": {
			config: "etcd:\n  local:\n    imageTag: 3.5.31-0\n", tags: Tags{Etcd: "3.6.8-0", CoreDNS: "v1.12.2"}, want: "dns:\n  imageTag: v1.12.2\netcd:\n  local:\n    imageTag: 3.6.8-0\n",
		},
		"the same": {config: "dns: {imageTag: v1.12.2}\netcd: {local: {imageTag: 3.6.8-0}}\n", tags: Tags{Etcd: "3.6.8-0", CoreDNS: "v1.12.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			stored := &corev1.ConfigMap{Data: map[string]string{"ClusterConfiguration": c.config}}
			changed, err := retagged(stored, c.tags)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(changed).To(Equal(c.want != ""))
			if changed {
				g.Expect(stored.Data["ClusterConfiguration"]).To(Equal(c.want))
			}
		})
	}
	_, err := retagged(&corev1.ConfigMap{Data: map[string]string{"ClusterConfiguration": "- a list"}}, Tags{})
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("read kubeadm's configuration")))
}

func TestTagsTellKubeadm(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Tags{}.patch()).To(BeEmpty())
	g.Expect(Tags{Etcd: "3.5.31-0"}.patch()).To(Equal("kind: ClusterConfiguration\netcd: {local: {imageTag: 3.5.31-0}}\n"))
}

func TestTarget(t *testing.T) {
	g := NewWithT(t)
	c := &Cluster{image: Image{Targets: []Target{{Version: "v1.34.4"}}}, spec: cluster.Spec{Name: "drain-web-1"}}
	for _, asked := range []string{"v1.34", "v1.34.4"} {
		found, err := c.target(asked)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found.Version).To(Equal("v1.34.4"))
	}
	_, err := c.target("v1.3")
	g.Expect(err).To(MatchError(`the nodes of cluster "drain-web-1" were not prepared for v1.3`))
}

// TestRefused: what a command on the node says is the node's answer; an engine that does not is none.
func TestRefused(t *testing.T) {
	g := NewWithT(t)
	var answer *cluster.UpgradeError
	g.Expect(errors.As(refused("cp-1", Target{Version: "v1.34.4"}, "", &proc.ExitError{Name: "podman", Status: 1}), &answer)).To(BeTrue())
	g.Expect(answer.Node).To(Equal("cp-1"))
	g.Expect(errors.As(refused("cp-1", Target{}, "", errors.New("no engine")), &answer)).To(BeFalse())
	g.Expect(refused("cp-1", Target{}, "", nil)).To(Succeed())
}
