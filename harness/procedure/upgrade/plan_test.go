package upgrade

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/scenario"
)

var setting = plan.Setting{Version: "v1.33", Nodes: []cluster.Node{
	{Name: "cp-1", Role: cluster.ControlPlane}, {Name: "worker-1", Role: cluster.Worker}, {Name: "worker-2", Role: cluster.Worker},
}}

// drained stands for the ops of the step drain.
func drained(id string, _ *scenario.Drain) []*plan.Op {
	return []*plan.Op{{ID: id + "/cordon"}, {ID: id + "/drain"}}
}

func upgraded(edit func(*scenario.Upgrade)) *plan.Op {
	spec := &scenario.Upgrade{
		To: "v1.35", Hops: scenario.HopsThrough, Timeout: scenario.Duration{Duration: time.Minute},
		ControlPlanes: scenario.UpgradeControlPlanes{Kubelets: scenario.KubeletsLast}, Workers: scenario.UpgradeWorkers{Parallel: 1, MaxUnavailable: 1},
	}
	edit(spec)
	return Cluster{Drain: drained}.Plan(scenario.Step{ID: "roll", Upgrade: spec}, setting)
}

func ids(ops []*plan.Op) []string {
	var all []string
	for _, op := range ops {
		all = append(all, op.ID)
	}
	return all
}

// TestHops: an upgrade over two minors goes through the one between, or in one go when the scenario says so.
func TestHops(t *testing.T) {
	g := NewWithT(t)
	through := upgraded(func(*scenario.Upgrade) {})
	g.Expect(ids(through.Ops)).To(Equal([]string{"roll/v1-34", "roll/v1-35"}))
	g.Expect(through.Ops[0].Options).To(Equal(Hop{From: "v1.33", To: "v1.34", MaxUnavailable: 1, Parallel: 1}))
	g.Expect(through.Ops[1].Options).To(Equal(Hop{From: "v1.34", To: "v1.35", MaxUnavailable: 1, Parallel: 1}))
	g.Expect((&plan.Plan{Ops: []*plan.Op{through}}).Versions()).To(Equal([]string{"v1.34", "v1.35"}))
	g.Expect(upgraded(func(u *scenario.Upgrade) { u.Hops = scenario.HopsSkip }).Options).To(Equal(Hop{From: "v1.33", To: "v1.35", MaxUnavailable: 1, Parallel: 1}))
	g.Expect(upgraded(func(u *scenario.Upgrade) { u.To = "v1.32" }).Options).To(HaveField("To", "v1.32"), "the policies refuse it")
}

// TestOrder: workers come in the order that is asked for, and as many at a time.
func TestOrder(t *testing.T) {
	g := NewWithT(t)
	root := upgraded(func(u *scenario.Upgrade) {
		u.To, u.Workers.Order, u.Workers.Parallel = "v1.34", []string{"worker-2"}, 2
		u.ControlPlanes = scenario.UpgradeControlPlanes{Kubelets: scenario.KubeletsEach, Drain: true}
	})
	g.Expect(ids(root.Ops)).To(Equal([]string{"roll/check", "roll/stage", "roll/cp-1", "roll/leaders", "roll/settled", "roll/workers", "roll/complete"}))
	g.Expect(ids(root.Ops[2].Ops)).To(Equal([]string{
		"roll/cp-1/apply", "roll/cp-1/leaders", "roll/cp-1/settled", "roll/cp-1/cordon", "roll/cp-1/drain", "roll/cp-1/kubelet", "roll/cp-1/uncordon", "roll/cp-1/recover",
	}))
	g.Expect(root.Ops[5].Parallel).To(Equal(2))
	g.Expect(ids(root.Ops[5].Ops)).To(Equal([]string{"roll/worker-2", "roll/worker-1"}))
}

// TestSettled: before pods are moved every kube-proxy has heard what changed while the only API server was away. With several it was not.
func TestSettled(t *testing.T) {
	g := NewWithT(t)
	planned := func(planes ...string) []string {
		nodes := []cluster.Node{{Name: "worker-1", Role: cluster.Worker}}
		for _, name := range planes {
			nodes = append(nodes, cluster.Node{Name: name, Role: cluster.ControlPlane})
		}
		spec := &scenario.Upgrade{To: "v1.34", ControlPlanes: scenario.UpgradeControlPlanes{Kubelets: scenario.KubeletsEach}}
		return ids(Cluster{Drain: drained}.Plan(scenario.Step{ID: "roll", Upgrade: spec}, plan.Setting{Version: "v1.33", Nodes: nodes}).Ops)
	}
	g.Expect(planned("cp-1")).To(HaveExactElements("roll/check", "roll/stage", "roll/cp-1", "roll/leaders", "roll/settled", "roll/workers", "roll/complete"))
	g.Expect(planned("cp-1", "cp-2", "cp-3")).NotTo(ContainElement("roll/settled"))
}

// TestMoveLeader: a control plane's etcd hands on the leadership before each op that ends it, where another can have it.
func TestMoveLeader(t *testing.T) {
	g := NewWithT(t)
	planned := func(nodes ...cluster.Node) *plan.Op {
		spec := &scenario.Upgrade{To: "v1.34", ControlPlanes: scenario.UpgradeControlPlanes{Kubelets: scenario.KubeletsEach, MoveLeader: true}}
		return Cluster{Drain: drained}.Plan(scenario.Step{ID: "roll", Upgrade: spec}, plan.Setting{Version: "v1.33", Nodes: nodes})
	}
	one := cluster.Node{Name: "cp-1", Role: cluster.ControlPlane}
	several := planned(one, cluster.Node{Name: "cp-2", Role: cluster.ControlPlane}, cluster.Node{Name: "cp-3", Role: cluster.ControlPlane})
	g.Expect(ids(several.Ops[3].Ops)).To(Equal([]string{"roll/cp-2/apply-handon", "roll/cp-2/apply", "roll/cp-2/kubelet-handon", "roll/cp-2/kubelet"}))
	g.Expect(ids(planned(one).Ops[2].Ops)).To(Equal([]string{"roll/cp-1/apply", "roll/cp-1/kubelet"}))
}

// TestNodePlan: a control plane is changed only when the cluster is whole; the first that gets a version applies it, the next does not, and a worker gets its configuration.
func TestNodePlan(t *testing.T) {
	g := NewWithT(t)
	planned := func(node, version string) *plan.Op {
		s := setting
		s.Version = version
		return Node{}.Plan(scenario.Step{ID: "one", UpgradeNode: &scenario.UpgradeNode{Node: node, To: "v1.34"}}, s)
	}
	first := planned("cp-1", "v1.33").Ops
	g.Expect(first[0]).To(HaveField("Action", ActionCheck))
	g.Expect(ids(first[len(first)-2:])).To(Equal([]string{"one/leaders", "one/settled"}), "what comes after it may move pods")
	g.Expect(first[2]).To(And(HaveField("Action", ActionApply), HaveField("Options", cluster.ControlPlaneUpgrade{First: true})))
	next := planned("cp-1", "v1.34").Ops
	g.Expect(next[0]).To(HaveField("Action", ActionWhole), "kubeadm upgrade plan was asked before the first")
	g.Expect(next[2]).To(And(HaveField("Action", ActionApply), HaveField("Options", cluster.ControlPlaneUpgrade{})))
	g.Expect(planned("worker-1", "v1.34").Ops[1]).To(HaveField("Action", ActionConfig))
}
