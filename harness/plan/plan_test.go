package plan_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
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
	upgrades, err := filepath.Glob("../../scenarios/known-bad/upgrade-*")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(upgrades).NotTo(BeEmpty())
	names := []string{"drain-web", "drain-web-power-cut", "upgrade", "upgrade-ha"}
	for _, folder := range upgrades {
		names = append(names, "known-bad/"+filepath.Base(folder))
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p, err := plan.Make(load(t, name), provider{cluster.CapPower, cluster.CapService, cluster.CapUpgrade}, find)
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
	for _, name := range []string{"drain-web-power-cut", "upgrade-ha", "known-bad/upgrade-undrained"} {
		p, err := plan.Make(load(t, name), provider{cluster.CapPower, cluster.CapService, cluster.CapUpgrade}, find)
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
