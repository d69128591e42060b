// Package upgrade is the steps upgrade and upgradeNode: the cluster, or one node, is brought to another version of Kubernetes in kubeadm's order.
//
// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/
package upgrade

import (
	"fmt"
	"slices"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
)

// The kinds of step, which are also the procedures of their ops.
const (
	kindCluster = "upgrade"
	kindNode    = "upgradeNode"
)

// The actions of the ops. Those with ops below them perform nothing themselves.
const (
	ActionHop           = "hop"           // from one version to the next; its options are a Hop
	ActionCheck         = "check"         // is the cluster whole, and would kubeadm upgrade it?
	ActionWhole         = "whole"         // is the cluster whole?
	ActionStage         = "stage"         // the programs come to the nodes
	ActionControlPlanes = "controlPlanes" // the kubelets of the control planes
	ActionWorkers       = "workers"       // all workers
	ActionNode          = "node"          // one node
	ActionHandOn        = "handOn"        // the node's etcd hands on the leadership
	ActionApply         = "apply"         // kubeadm upgrade apply, or upgrade node on a further control plane
	ActionConfig        = "config"        // kubeadm upgrade node on a worker
	ActionKubelet       = "kubelet"       // kubelet and kubectl
	ActionLeaders       = "leaders"       // controller manager and scheduler have leaders
	ActionSettled       = "settled"       // every workload is complete, the DaemonSets too, before pods are moved
	ActionRecover       = "recover"       // the node is Ready and every Deployment and StatefulSet is complete
	ActionComplete      = "complete"      // every workload is, the DaemonSets too
)

// Hop is one part of an upgrade: from one version to another, which follow each other unless the scenario says to skip. It is what the policies of scope
// plan see.
type Hop struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Node is set when one node alone is upgraded.
	Node           string `json:"node,omitempty"`
	MaxUnavailable int    `json:"maxUnavailable,omitempty"`
	Parallel       int    `json:"parallel,omitempty"`
}

// stageTimeout is how long bringing a version to all nodes may take: on kind some hundred megabytes a node.
const stageTimeout = plan.Seconds(15 * time.Minute)

// Cluster is the step upgrade.
type Cluster struct {
	// Drain makes the ops that drain a node, below the op with that id.
	Drain func(id string, spec *scenario.Drain) []*plan.Op
}

// Kind implements procedure.Procedure.
func (Cluster) Kind() string { return kindCluster }

// Needs implements procedure.Procedure.
func (Cluster) Needs() []cluster.Capability { return []cluster.Capability{cluster.CapUpgrade} }

// Plan implements procedure.Procedure.
func (u Cluster) Plan(step scenario.Step, s plan.Setting) *plan.Op {
	spec := step.Upgrade
	versions := hops(s.Version, spec)
	if len(versions) == 1 {
		return u.hop(step.ID, spec, s, s.Version, versions[0])
	}
	root := &plan.Op{
		ID: step.ID, Title: fmt.Sprintf("upgrade from %s to %s, a minor at a time", s.Version, spec.To), Procedure: kindCluster, Action: "all", Options: spec,
	}
	from := s.Version
	for _, to := range versions {
		root.Ops = append(root.Ops, u.hop(fmt.Sprintf("%s/v1-%d", step.ID, scenario.Minor(to)), spec, s, from, to))
		from = to
	}
	return root
}

// hops lists the versions that an upgrade goes through, the last its target. A target that is no newer is one hop, which the plan's policies refuse.
func hops(from string, spec *scenario.Upgrade) []string {
	var versions []string
	if spec.Hops == scenario.HopsThrough {
		for minor := scenario.Minor(from) + 1; minor < scenario.Minor(spec.To); minor++ {
			versions = append(versions, fmt.Sprintf("v1.%d", minor))
		}
	}
	return append(versions, spec.To)
}

// hop plans the way from one version to the next.
func (u Cluster) hop(id string, spec *scenario.Upgrade, s plan.Setting, from, to string) *plan.Op {
	planes, workers := split(s.Nodes, spec.Workers.Order)
	op := &plan.Op{
		ID: id, Title: fmt.Sprintf("upgrade from %s to %s", from, to), Procedure: kindCluster, Action: ActionHop, Version: to,
		Options: Hop{From: from, To: to, MaxUnavailable: spec.Workers.MaxUnavailable, Parallel: spec.Workers.Parallel},
	}
	leaf := leaves{kind: kindCluster, to: to, timeout: plan.Seconds(spec.Timeout.Duration), handOn: spec.ControlPlanes.MoveLeader && len(planes) > 1}
	op.Ops = append(op.Ops,
		leaf.check(id, planes[0]),
		&plan.Op{ID: id + "/stage", Title: "bring " + to + " to the nodes", Procedure: kindCluster, Action: ActionStage, Version: to, Timeout: stageTimeout},
	)
	var last []*plan.Op
	for i, node := range planes {
		below := id + "/" + node
		one := &plan.Op{ID: below, Title: "upgrade control plane " + node, Procedure: kindCluster, Action: ActionNode, Node: node, Version: to}
		one.Ops = leaf.handingOn(leaf.apply(below, node, cluster.ControlPlaneUpgrade{First: i == 0, KeepCertificates: spec.ControlPlanes.KeepCertificates}))
		kubelet := leaf.handingOn(leaf.kubelet(below, node))
		if spec.ControlPlanes.Drain {
			kubelet = append(leaf.settled(below, planes), u.around(below, node, spec, kubelet...)...)
		}
		if spec.ControlPlanes.Kubelets == scenario.KubeletsEach {
			one.Ops = append(one.Ops, kubelet...)
		} else {
			last = append(last, kubelet...)
		}
		op.Ops = append(op.Ops, one)
	}
	if len(last) > 0 {
		op.Ops = append(op.Ops, &plan.Op{ID: id + "/kubelets", Title: "upgrade the kubelets of the control planes", Procedure: kindCluster, Action: ActionControlPlanes, Version: to, Ops: last})
	}
	op.Ops = append(op.Ops, leaf.settled(id, planes)...)
	if len(workers) > 0 {
		op.Ops = append(op.Ops, u.workers(id, spec, leaf, workers))
	}
	op.Ops = append(op.Ops, leaf.op(id+"/complete", "wait until every workload is complete, kube-proxy too", ActionComplete, ""))
	return op
}

// workers plans the workers, each cordoned, drained, upgraded and uncordoned.
func (u Cluster) workers(id string, spec *scenario.Upgrade, leaf leaves, workers []string) *plan.Op {
	all := &plan.Op{ID: id + "/workers", Title: "upgrade the workers", Procedure: kindCluster, Action: ActionWorkers, Version: leaf.to}
	if spec.Workers.Parallel > 1 {
		all.Parallel, all.Title = spec.Workers.Parallel, fmt.Sprintf("upgrade the workers, %d at a time", spec.Workers.Parallel)
	}
	for _, node := range workers {
		below := id + "/" + node
		all.Ops = append(all.Ops, &plan.Op{
			ID: below, Title: "upgrade worker " + node, Procedure: kindCluster, Action: ActionNode, Node: node, Version: leaf.to,
			Ops: u.around(below, node, spec, leaf.config(below, node), leaf.kubelet(below, node)),
		})
	}
	return all
}

// around puts a drain before ops on a node, and uncordons it after them.
func (u Cluster) around(id, node string, spec *scenario.Upgrade, ops ...*plan.Op) []*plan.Op {
	all := append(u.Drain(id, &scenario.Drain{Node: node, DrainOptions: spec.Drain}), ops...)
	return append(all,
		&plan.Op{
			ID: id + "/uncordon", Title: "mark " + node + " schedulable", Procedure: "uncordon", Action: "uncordon", Node: node,
			Options: &scenario.Uncordon{Node: node}, Timeout: procedure.Quick, Command: []string{"kubectl", "uncordon", node},
		},
		&plan.Op{
			ID: id + "/recover", Title: "wait until " + node + " is Ready and the workloads are complete", Procedure: kindCluster, Action: ActionRecover, Node: node,
			Timeout: plan.Seconds(spec.Timeout.Duration),
		})
}

// split gives the names of the control planes, and of the workers in the order in which they are upgraded.
func split(nodes []cluster.Node, order []string) (planes, workers []string) {
	workers = slices.Clone(order)
	for _, n := range nodes {
		switch {
		case n.Role == cluster.ControlPlane:
			planes = append(planes, n.Name)
		case !slices.Contains(order, n.Name):
			workers = append(workers, n.Name)
		}
	}
	return planes, workers
}

// leaves makes the ops that change a node.
type leaves struct {
	kind    string // of the step
	to      string
	timeout plan.Seconds
	handOn  bool
}

// handingOn puts before an op that ends a control plane's etcd one that has it hand on the leadership, when that is wanted.
func (l leaves) handingOn(op *plan.Op) []*plan.Op {
	if !l.handOn {
		return []*plan.Op{op}
	}
	return []*plan.Op{l.op(op.ID+"-handon", "have etcd of "+op.Node+" hand on the leadership, if it has it", ActionHandOn, op.Node), op}
}

func (l leaves) op(id, title, action, node string) *plan.Op {
	return &plan.Op{ID: id, Title: title, Procedure: l.kind, Action: action, Node: node, Version: l.to, Timeout: l.timeout}
}

func (l leaves) check(id, node string) *plan.Op {
	return l.op(id+"/check", "look whether the cluster can be upgraded", ActionCheck, node)
}

func (l leaves) apply(id, node string, how cluster.ControlPlaneUpgrade) *plan.Op {
	title := "kubeadm upgrade node on " + node
	if how.First {
		title = "kubeadm upgrade apply " + l.to + " on " + node
	}
	if how.KeepCertificates {
		title += ", which keeps its certificates"
	}
	op := l.op(id+"/apply", title, ActionApply, node)
	op.Options = how
	return op
}

func (l leaves) config(id, node string) *plan.Op {
	return l.op(id+"/config", "kubeadm upgrade node on "+node, ActionConfig, node)
}

func (l leaves) kubelet(id, node string) *plan.Op {
	return l.op(id+"/kubelet", "upgrade the kubelet of "+node+" and restart it", ActionKubelet, node)
}

// settled are the waits before pods are moved. Leaders of the control planes are needed then; while those are upgraded one after the other nobody needs them, and each may be the one that has just become leader: a wait
// of 15 s that brings nothing. Where the only API server was away, kubelets and kube-proxies ask for it more and more seldom and hear of nothing for up to a minute after it is back: a pod that is evicted then is gone, and
// requests are sent to it all the same. kube-proxy, which kubeadm has rolled out anew, is complete when each of them has listed what there is and each kubelet has said so.
func (l leaves) settled(id string, planes []string) []*plan.Op {
	ops := []*plan.Op{l.op(id+"/leaders", "wait until controller manager and scheduler have leaders", ActionLeaders, "")}
	if len(planes) == 1 {
		ops = append(ops, l.op(id+"/settled", "wait until every workload is complete, kube-proxy too, before pods are moved", ActionSettled, ""))
	}
	return ops
}

// Node is the step upgradeNode.
type Node struct{}

// Kind implements procedure.Procedure.
func (Node) Kind() string { return kindNode }

// Needs implements procedure.Procedure.
func (Node) Needs() []cluster.Capability { return []cluster.Capability{cluster.CapUpgrade} }

// Plan implements procedure.Procedure. The first control plane that gets a version is the one where kubeadm applies it.
func (Node) Plan(step scenario.Step, s plan.Setting) *plan.Op {
	spec := step.UpgradeNode
	leaf := leaves{kind: kindNode, to: spec.To, timeout: plan.Seconds(spec.Timeout.Duration)}
	op := &plan.Op{
		ID: step.ID, Title: fmt.Sprintf("upgrade %s to %s", spec.Node, spec.To), Procedure: kindNode, Action: ActionHop, Node: spec.Node, Version: spec.To,
		Options: Hop{From: s.Version, To: spec.To, Node: spec.Node},
	}
	stage := leaf.op(step.ID+"/stage", "bring "+spec.To+" to "+spec.Node, ActionStage, spec.Node)
	stage.Timeout = stageTimeout
	if !slices.Contains(s.Nodes, cluster.Node{Name: spec.Node, Role: cluster.ControlPlane}) {
		op.Ops = []*plan.Op{stage, leaf.config(step.ID, spec.Node), leaf.kubelet(step.ID, spec.Node)}
		return op
	}
	first := s.Version != spec.To
	check := leaf.op(step.ID+"/check", "look whether the cluster is whole", ActionWhole, spec.Node)
	if first {
		check = leaf.check(step.ID, spec.Node)
	}
	planes, _ := split(s.Nodes, nil)
	op.Ops = append([]*plan.Op{check, stage, leaf.apply(step.ID, spec.Node, cluster.ControlPlaneUpgrade{First: first}), leaf.kubelet(step.ID, spec.Node)}, leaf.settled(step.ID, planes)...)
	return op
}
