package kind

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/kind/pkg/cluster/constants"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/cluster"
)

func spec(controlPlanes, workers int) cluster.Spec {
	return cluster.Spec{Name: "drain-web-1", ControlPlanes: controlPlanes, Workers: workers, Dir: "d", StateDir: "s"}
}

func TestConfigurationNamesTheNodesAsScenariosDo(t *testing.T) {
	g := NewWithT(t)
	made, err := configuration(spec(3, 2), Image{Ref: "seatrial.dev/node:v1.35.4", Version: "v1.35.4"}, true)
	g.Expect(err).NotTo(HaveOccurred())
	config, err := yaml.Marshal(made)
	g.Expect(err).NotTo(HaveOccurred())
	golden := filepath.Join("testdata", "configuration.yaml")
	if os.Getenv("UPDATE") != "" {
		g.Expect(os.WriteFile(golden, config, 0o644)).To(Succeed())
	}
	want, err := os.ReadFile(golden)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(config)).To(Equal(string(want)))
}

// TestOldCgroups: the kubelet is told to take control groups of version 1 only where it has to be told, and where there are any.
func TestOldCgroups(t *testing.T) {
	for _, c := range []struct {
		version, target string
		old             bool
		told            bool
	}{
		{"v1.34.4", "v1.34.5", true, false}, {"v1.35.0", "v1.35.1", true, true}, {"v1.36.1", "v1.36.2", true, true}, {"v1.35.0", "v1.35.1", false, false},
		{"v1.33.4", "v1.35.0", true, true}, // which is to start with the configuration of before
	} {
		g := NewWithT(t)
		made, err := configuration(spec(1, 0), Image{Version: c.version, Targets: []Target{{Version: c.target}}}, c.old)
		g.Expect(err).NotTo(HaveOccurred())
		config, err := yaml.Marshal(made)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(strings.Contains(string(config), "failCgroupV1: false")).To(Equal(c.told), "%+v", c)
	}
}

// TestKubeadmAndOldCgroups: so is kubeadm, and only then.
func TestKubeadmAndOldCgroups(t *testing.T) {
	g := NewWithT(t)
	for _, c := range []struct {
		version string
		old     bool
		more    []string
	}{{"v1.34.4", true, nil}, {"v1.35.4", false, nil}, {"v1.35.4", true, []string{"--ignore-preflight-errors=SystemVerification"}}} {
		args := []string{"upgrade", "node"}
		g.Expect(acceptingOldCgroups(args, c.version, c.old)).To(Equal(append(args, c.more...)), "%+v", c)
	}
}

// TestContainersAreNamedAsKindNamesThem: roles are kind's, and the first of a role has no number.
func TestContainersAreNamedAsKindNamesThem(t *testing.T) {
	g := NewWithT(t)
	var nodes, containers []string
	for _, m := range machines(spec(3, 2)) {
		nodes, containers = append(nodes, m.node), append(containers, m.container)
	}
	g.Expect(nodes).To(Equal([]string{"cp-1", "cp-2", "cp-3", "worker-1", "worker-2"}))
	g.Expect(containers).To(Equal([]string{
		"drain-web-1-control-plane", "drain-web-1-control-plane2", "drain-web-1-control-plane3", "drain-web-1-worker", "drain-web-1-worker2",
	}))
	g.Expect(string(cluster.ControlPlane)).To(Equal(constants.ControlPlaneNodeRoleValue))
	g.Expect(string(cluster.Worker)).To(Equal(constants.WorkerNodeRoleValue))
	g.Expect(nameLimit + len("-"+constants.ExternalLoadBalancerNodeRoleValue)).To(BeNumerically("<=", 64))
}

func TestValidateSaysAllAtOnce(t *testing.T) {
	g := NewWithT(t)
	g.Expect(validate(spec(3, 0))).To(Succeed())
	err := validate(cluster.Spec{Name: strings.Repeat("a", nameLimit+1), ControlPlanes: 2, Workers: -1})
	for _, want := range []string{"2 control planes", "-1 workers", "a folder for logs", "at most 40 characters"} {
		g.Expect(err).To(MatchError(ContainSubstring(want)))
	}
	for _, name := range []string{"", "UPPER", "a_b", "-a", "a/../b"} {
		s := spec(1, 0)
		s.Name = name
		g.Expect(validate(s)).To(MatchError(ContainSubstring("DNS label")), name)
	}
}

// TestBalancerImageIsKinds holds our constant to the one in the source of the kind that is linked: its package is internal.
func TestBalancerImageIsKinds(t *testing.T) {
	g := NewWithT(t)
	source, err := os.ReadFile(filepath.Join(kindModule(t), "pkg", "cluster", "internal", "loadbalancer", "const.go"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(source)).To(ContainSubstring(`const Image = "` + BalancerImage + `"`))
}

// TestNetworkVariablesAreKinds holds the names of the variables to the source, because nothing else would notice that kind no longer reads them.
func TestNetworkVariablesAreKinds(t *testing.T) {
	for name, variable := range networkVariable {
		g := NewWithT(t)
		source, err := os.ReadFile(filepath.Join(kindModule(t), "pkg", "cluster", "internal", "providers", name, "provider.go"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(source)).To(ContainSubstring(`"` + variable + `"`))
	}
}
