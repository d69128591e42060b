package roll_test

import (
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/roll"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/world"
)

// upgraded is a plan that drains two nodes in turn, and a third one for good.
func upgraded(o scenario.DrainOptions) *plan.Plan {
	drain := func(id, node string) *plan.Op {
		return &plan.Op{ID: id + "/drain", Procedure: "drain", Action: "drain", Node: node, Options: &scenario.Drain{Node: node, DrainOptions: o}}
	}
	node := func(name string) *plan.Op {
		id := "up/" + name
		return &plan.Op{ID: id, Ops: []*plan.Op{drain(id, name), {ID: id + "/uncordon", Procedure: "uncordon", Action: "uncordon", Node: name}}}
	}
	return &plan.Plan{Ops: []*plan.Op{
		{ID: "up", Ops: []*plan.Op{{ID: "up/workers", Parallel: 2, Ops: []*plan.Op{node("a"), node("b")}}}},
		{ID: "evict", Ops: []*plan.Op{{ID: "evict/c", Ops: []*plan.Op{drain("evict/c", "c")}}}},
	}}
}

// TestOfMissesNoNode has drains that are next to each other, as those of control planes whose kubelets come last, and one with a fault around it.
func TestOfMissesNoNode(t *testing.T) {
	g := NewWithT(t)
	leaf := func(procedure, node string) *plan.Op {
		return &plan.Op{ID: procedure + "/" + node, Procedure: procedure, Action: procedure, Node: node, Options: &scenario.Drain{Node: node}}
	}
	p := &plan.Plan{Ops: []*plan.Op{{ID: "up", Ops: []*plan.Op{
		{ID: "up/kubelets", Ops: []*plan.Op{leaf("drain", "a"), leaf("uncordon", "a"), leaf("drain", "b"), leaf("uncordon", "b")}},
		{ID: "up/c", Ops: []*plan.Op{{ID: "up/c/with-1", Action: "with", Parallel: 2, Ops: []*plan.Op{leaf("fault", "a"), leaf("drain", "c")}}, leaf("uncordon", "c")}},
	}}}}
	rolls, err := roll.Of(p, newCluster(t).nodes("a b c", "4").fold.World)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rolls).To(HaveLen(1))
	g.Expect(rolls["up"].Nodes).To(Equal([]string{"a", "b", "c"}))
}

// TestOfEachHop has an upgrade by way of a version in between, which drains every node twice, and control planes before the workers.
func TestOfEachHop(t *testing.T) {
	g := NewWithT(t)
	drained := func(id string, nodes ...string) []*plan.Op {
		var ops []*plan.Op
		for _, node := range nodes {
			ops = append(ops,
				&plan.Op{ID: id + "/" + node + "/drain", Procedure: "drain", Action: "drain", Node: node, Options: &scenario.Drain{Node: node}},
				&plan.Op{ID: id + "/" + node + "/uncordon", Procedure: "uncordon", Action: "uncordon", Node: node})
		}
		return ops
	}
	hop := func(id string) *plan.Op {
		workers := &plan.Op{ID: id + "/workers", Action: "workers", Ops: drained(id, "b", "c")}
		return &plan.Op{ID: id, Action: "hop", Ops: append(drained(id, "a"), workers)}
	}
	p := &plan.Plan{Ops: []*plan.Op{{ID: "up", Ops: []*plan.Op{hop("up/v1-34"), hop("up/v1-35")}}}}
	rolls, err := roll.Of(p, newCluster(t).nodes("a b c", "4").fold.World)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rolls).To(HaveLen(4))
	for _, id := range []string{"up/v1-34", "up/v1-35"} {
		g.Expect(rolls[id].Order).To(Equal([]string{"a"}))
		g.Expect(rolls[id+"/workers"].Order).To(Equal([]string{"b", "c"}))
		g.Expect(rolls[id+"/workers"].Waves).To(Equal(2))
	}
}

func TestOf(t *testing.T) {
	g := NewWithT(t)
	w := newCluster(t).nodes("a b c", "4").app("db", "a b").budget("db", maxUnavailable(0)).fold.World
	rolls, err := roll.Of(upgraded(scenario.DrainOptions{}), w)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rolls).To(HaveLen(1))
	found := rolls["up/workers"]
	g.Expect(found.Nodes).To(Equal([]string{"a", "b"}))
	g.Expect(found.Parallel).To(Equal(2))
	g.Expect(found.Possible).To(BeFalse())

	// A plan that was recorded gives the same, options and all.
	raw, err := json.Marshal(upgraded(scenario.DrainOptions{DisableEviction: true}))
	g.Expect(err).NotTo(HaveOccurred())
	var recorded plan.Plan
	g.Expect(json.Unmarshal(raw, &recorded)).To(Succeed())
	rolls, err = roll.Of(&recorded, w)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rolls["up/workers"].Possible).To(BeTrue(), "this drain asks no budget")

	w.Promised = true
	g.Expect(roll.Of(upgraded(scenario.DrainOptions{}), w)).To(BeEmpty())
	g.Expect(roll.Of(upgraded(scenario.DrainOptions{}), world.New())).To(HaveKey("up/workers"))
}
