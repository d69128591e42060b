package plan_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure/catalog"
	"github.com/seatrial/seatrial/harness/scenario"
)

var update = flag.Bool("update", false, "write the golden files anew")

// provider has the capabilities that it lists and makes no clusters.
type provider []cluster.Capability

func (provider) Name() string { return "paper" }

func (p provider) Has(c cluster.Capability) bool {
	for _, have := range p {
		if have == c {
			return true
		}
	}
	return false
}

func (provider) Settings() []string                          { return nil }
func (provider) Prepare(context.Context, cluster.Spec) error { return errors.New("paper") }
func (provider) Create(context.Context, cluster.Spec) (cluster.Cluster, error) {
	return nil, errors.New("paper")
}

func find(kind string) plan.Expander {
	if p := catalog.Find(kind); p != nil {
		return p
	}
	return nil
}

func load(t *testing.T, name string) *scenario.File {
	t.Helper()
	f, err := scenario.Load("../../scenarios/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestGolden shows what a change does to a plan, and that the same scenario gives the same bytes.
func TestGolden(t *testing.T) {
	names := []string{"drain-web", "drain-web-power-cut", "restore-ha", "known-bad/restore-without-bump", "rotate-certificates-ha", "rotate-ca", "known-bad/certs-ca-swapped", "known-bad/certs-not-restarted", "known-bad/certs-all-at-once"}
	for _, folder := range []string{"", "known-bad/"} {
		upgrades, err := filepath.Glob("../../scenarios/" + folder + "upgrade*")
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(upgrades).NotTo(BeEmpty())
		for _, path := range upgrades {
			names = append(names, folder+filepath.Base(path))
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p, err := plan.Make(load(t, name), provider{cluster.CapPower, cluster.CapService, cluster.CapUpgrade, cluster.CapComponents, cluster.CapManifests, cluster.CapEtcd, cluster.CapRestore, cluster.CapDisk, cluster.CapCertificates, cluster.CapAuthority}, find)
			g.Expect(err).NotTo(HaveOccurred())
			got, err := json.MarshalIndent(p, "", "  ")
			g.Expect(err).NotTo(HaveOccurred())
			golden := "testdata/" + filepath.Base(name) + ".json"
			if *update {
				g.Expect(os.MkdirAll("testdata", 0o755)).To(Succeed())
				g.Expect(os.WriteFile(golden, append(got, '\n'), 0o644)).To(Succeed())
			}
			want, err := os.ReadFile(golden)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(got) + "\n").To(Equal(string(want)))
		})
	}
}

// TestLeavesHaveATimeout: nothing hangs.
func TestLeavesHaveATimeout(t *testing.T) {
	g := NewWithT(t)
	for _, name := range []string{"drain-web-power-cut", "restore-ha", "upgrade-ha-with-faults", "known-bad/upgrade-undrained"} {
		p, err := plan.Make(load(t, name), provider{cluster.CapPower, cluster.CapService, cluster.CapUpgrade, cluster.CapComponents, cluster.CapManifests, cluster.CapEtcd, cluster.CapRestore}, find)
		g.Expect(err).NotTo(HaveOccurred())
		for _, op := range p.Leaves() {
			g.Expect(op.Timeout).To(BeNumerically(">", 0), op.ID)
		}
	}
}

// TestMissingCapability is said at plan time, with the step and the capability.
func TestMissingCapability(t *testing.T) {
	g := NewWithT(t)
	_, err := plan.Make(load(t, "drain-web-power-cut"), provider{cluster.CapService}, find)
	g.Expect(err).To(MatchError(&plan.MissingError{Step: "power-cut", Provider: "paper", Capability: cluster.CapPower}))
	_, err = plan.Make(load(t, "upgrade"), provider{cluster.CapService}, find)
	g.Expect(err).To(MatchError(&plan.MissingError{Step: "roll", Provider: "paper", Capability: cluster.CapUpgrade}))
	_, err = plan.Make(load(t, "drain-web"), provider{}, find)
	g.Expect(err).To(MatchError(&plan.MissingError{Step: "probes", Provider: "paper", Capability: cluster.CapService}))
	_, err = plan.Make(load(t, "backup-cronjob"), provider{cluster.CapEtcd, cluster.CapRestore}, find)
	g.Expect(err).To(MatchError(&plan.MissingError{Step: "backup", Provider: "paper", Capability: cluster.CapPods}))
}

// TestFaults: a fault is where the scenario puts it, also among ops that are performed side by side, and one at an op that there is not has its place in the file.
func TestFaults(t *testing.T) {
	all := provider{cluster.CapPower, cluster.CapService, cluster.CapUpgrade, cluster.CapComponents, cluster.CapNetwork}
	tree := func(at string) (string, error) {
		f := load(t, "known-bad/upgrade-too-many-at-once")
		f.Spec.Faults = []scenario.Fault{{At: at, Kill: &scenario.ComponentFault{Node: "cp-1", Component: "etcd"}}}
		p, err := plan.Make(f, all, find)
		if err != nil {
			return "", err
		}
		parent := map[string]string{}
		p.Walk(func(op *plan.Op, _ int) {
			for i, child := range op.Ops {
				parent[child.ID] = fmt.Sprintf("%s[%d] %d", op.ID, i, op.Parallel)
			}
		})
		return parent["faults/1"], nil
	}
	for at, want := range map[string]string{
		"before roll/worker-1/drain": "roll/worker-1[1] 0",
		"after roll/worker-1/drain":  "roll/worker-1[2] 0",
		"during roll/worker-1/drain": "roll/worker-1/drain/with-1[1] 2",
		"before roll/worker-2":       "roll/worker-2/with-1[0] 0",
		"after roll/worker-2":        "roll/worker-2/with-1[1] 0",
	} {
		g := NewWithT(t)
		got, err := tree(at)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(Equal(want), at)
	}
	g := NewWithT(t)
	_, err := tree("before roll/worker-9")
	g.Expect(err).To(MatchError(MatchRegexp(`scenario.yaml:\d+:\d+: spec.faults\[0\].at: the plan has no operation "roll/worker-9"; it has roll, roll/check, `)))
	_, err = tree("before cluster/create")
	g.Expect(err).To(MatchError(ContainSubstring("the plan has no operation")), "there is no cluster yet")
	f := load(t, "upgrade")
	f.Spec.Faults = []scenario.Fault{{At: "before roll", CutOff: &scenario.NodeFault{Node: "worker-1"}}}
	_, err = plan.Make(f, provider{cluster.CapService, cluster.CapUpgrade}, find)
	g.Expect(err).To(MatchError(&plan.MissingError{Step: "faults[0]", Provider: "paper", Capability: cluster.CapNetwork}))
}

// TestPromised has the scenario's nodes and objects, those that a step applies too.
func TestPromised(t *testing.T) {
	g := NewWithT(t)
	w, err := plan.Promised(load(t, "drain-web"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.Promised).To(BeTrue())
	g.Expect(w.Nodes).To(HaveLen(4))
	g.Expect(w.Nodes["cp-1"].Role).To(Equal("control-plane"))
	g.Expect(w.Workloads).To(HaveKey("deployment/production/web"))
	g.Expect(w.Budgets["production/web"].Workloads).To(Equal([]string{"deployment/production/web"}))
}
