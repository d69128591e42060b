package plan

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/world"
)

// Expander turns steps into ops; the procedures' catalog gives one for each kind of step.
type Expander interface {
	Needs() []cluster.Capability
	Plan(step scenario.Step, s Setting) *Op
}

// Setting is the cluster as a step finds it, as far as the scenario says it.
type Setting struct {
	// Nodes lists the machines, control planes first, each group ordered by number.
	Nodes []cluster.Node
	// Version is that of the control planes: a minor or exact.
	Version string
}

// ControlPlanes are the names of those among the nodes.
func (s Setting) ControlPlanes() []string {
	var names []string
	for _, n := range s.Nodes {
		if n.Role == cluster.ControlPlane {
			names = append(names, n.Name)
		}
	}
	return names
}

// Names are those of all nodes.
func (s Setting) Names() []string {
	var names []string
	for _, n := range s.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// after is the setting when a step has been performed.
func (s Setting) after(step scenario.Step) Setting {
	switch {
	case step.Upgrade != nil:
		s.Version = step.Upgrade.To
	case step.UpgradeNode != nil && slices.Contains(s.Nodes, cluster.Node{Name: step.UpgradeNode.Node, Role: cluster.ControlPlane}):
		s.Version = step.UpgradeNode.To
	}
	return s
}

const (
	// UsesProbe in Plan.Uses says that a service is probed.
	UsesProbe = "probe"
	// UsesEtcd in Plan.Uses says that the members of etcd can be asked how they are.
	UsesEtcd = "etcd"
	// UsesCronJob in Plan.Uses says that a CronJob takes a backup.
	UsesCronJob = "cronJob"
)

// ObjectsTimeout is how long the workloads of one file may take to become ready before the first step.
const ObjectsTimeout = 2 * time.Minute

// MissingError says that the provider can't do what a step needs.
type MissingError struct {
	Step, Provider string
	Capability     cluster.Capability
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("step %q needs the capability %q, which provider %q does not have", e.Step, e.Capability, e.Provider)
}

// Make expands a scenario for a provider. find returns the expander of a kind of step.
func Make(f *scenario.File, provider cluster.Provider, find func(kind string) Expander) (*Plan, error) {
	p := &Plan{Scenario: f.Metadata.Name, Provider: provider.Name(), Uses: []string{}}
	p.Ops = append(p.Ops, clusterOp(f))
	if op := objectsOp(f); op != nil {
		p.Ops = append(p.Ops, op)
	}
	if f.Spec.Cluster.EncryptSecrets && !provider.Has(cluster.CapEncryption) {
		return nil, &MissingError{Step: "cluster", Provider: provider.Name(), Capability: cluster.CapEncryption}
	}
	if f.Spec.Cluster.Certificates != nil && !provider.Has(cluster.CapCertificates) {
		return nil, &MissingError{Step: "cluster", Provider: provider.Name(), Capability: cluster.CapCertificates}
	}
	if len(f.Spec.Probes) > 0 {
		if !provider.Has(cluster.CapService) {
			return nil, &MissingError{Step: "probes", Provider: provider.Name(), Capability: cluster.CapService}
		}
		p.Uses = append(p.Uses, UsesProbe)
	}
	if provider.Has(cluster.CapEtcd) {
		p.Uses = append(p.Uses, UsesEtcd)
	}
	setting := Setting{Nodes: f.Nodes(), Version: f.Spec.Cluster.KubernetesVersion}
	for _, step := range f.Spec.Steps {
		kind, _ := step.Kind()
		expander := find(kind)
		if expander == nil {
			return nil, fmt.Errorf("plan step %q: no procedure for %q", step.ID, kind)
		}
		for _, c := range expander.Needs() {
			if !provider.Has(c) {
				return nil, &MissingError{Step: step.ID, Provider: provider.Name(), Capability: c}
			}
		}
		if step.Backup != nil && step.Backup.CronJob != nil {
			if !provider.Has(cluster.CapPods) {
				return nil, &MissingError{Step: step.ID, Provider: provider.Name(), Capability: cluster.CapPods}
			}
			p.Uses = append(p.Uses, UsesCronJob)
		}
		p.Ops = append(p.Ops, expander.Plan(step, setting))
		setting = setting.after(step)
	}
	if err := p.attach(f, provider, find); err != nil {
		return nil, err
	}
	p.Walk(func(op *Op, _ int) {
		if op.Procedure != "run" && op.Procedure != FaultProcedure {
			p.Uses = append(p.Uses, op.Procedure)
		}
	})
	slices.Sort(p.Uses)
	p.Uses = slices.Compact(p.Uses)
	number(p.Ops, "")
	return p, nil
}

func clusterOp(f *scenario.File) *Op {
	c := f.Spec.Cluster
	return &Op{
		ID: "cluster", Procedure: "run", Action: "cluster", Options: c,
		Title: fmt.Sprintf("make a cluster: Kubernetes %s, control planes: %d, workers: %d", c.KubernetesVersion, c.ControlPlanes, c.Workers),
		Ops: []*Op{
			{
				ID: "cluster/prepare", Procedure: "run", Action: "prepare", Title: "obtain Kubernetes " + c.KubernetesVersion,
				Options: c, Timeout: Seconds(cluster.PrepareTimeout),
			},
			{
				ID: "cluster/create", Procedure: "run", Action: "create", Title: "create the cluster and wait until it is ready",
				Options: c, Timeout: Seconds(cluster.ReadyTimeout),
			},
		},
	}
}

func objectsOp(f *scenario.File) *Op {
	if len(f.Spec.Objects) == 0 {
		return nil
	}
	parent := &Op{ID: "objects", Title: "apply the scenario's objects", Procedure: "run", Action: "objects"}
	for i, o := range f.Spec.Objects {
		title := "apply " + o.File
		if o.Awaits() {
			title += " and wait for its workloads"
		}
		parent.Ops = append(parent.Ops, &Op{
			ID: fmt.Sprintf("objects/%d", i+1), Title: title, Procedure: "run", Action: "apply",
			Options: o, Timeout: Seconds(ObjectsTimeout),
		})
	}
	return parent
}

// Promised is the world that a scenario promises, the one that `seatrial plan` judges: its nodes, its objects, and what its steps apply.
func Promised(f *scenario.File) (*world.World, error) {
	var manifests []*unstructured.Unstructured
	for _, o := range f.Spec.Objects {
		manifests = append(manifests, f.Manifests(o.File)...)
	}
	for _, s := range f.Spec.Steps {
		if s.Apply != nil {
			manifests = append(manifests, f.Manifests(s.Apply.File)...)
		}
	}
	return world.Promise(f.Nodes(), manifests)
}
