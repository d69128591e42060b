package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/scenario"
)

// FaultProcedure is the procedure of the ops of faults. Their actions: one that brings a fault about, and one that waits until all are over.
const (
	FaultProcedure  = "fault"
	ActionFault     = "begin"
	ActionFaultsEnd = "end"
)

const (
	// faultTimeout is how long bringing a fault about may take.
	faultTimeout = Seconds(time.Minute)
	// FaultBack is how long what a fault has done may take to be over after its end.
	FaultBack = 5 * time.Minute
	// faultsMargin is what the op that waits for all of them has beyond that, so that the one that is not over speaks first.
	faultsMargin = 15 * time.Second
)

// faultNeeds are what a cluster must be able to do for each kind of fault.
var faultNeeds = map[string]cluster.Capability{
	"powerOff": cluster.CapPower, "cutOff": cluster.CapNetwork, fillDisk: cluster.CapDisk, "kill": cluster.CapComponents, "pause": cluster.CapComponents,
	"copyManifest": cluster.CapManifests, "etcdNoSpace": cluster.CapEtcd, "etcdAlarmLeft": cluster.CapEtcd, "etcdOrphan": cluster.CapEtcd,
}

// fillDisk is the kind of fault that takes nodes with disks of their own.
const fillDisk = "fillDisk"

// FillsDisks tells whether the plan fills a node's disk.
func (p *Plan) FillsDisks() bool { return slices.Contains(p.Uses, fillDisk) }

// Restores tells whether the plan restores etcd.
func (p *Plan) Restores() bool { return slices.Contains(p.Uses, "restore") }

// attach puts the faults of a scenario at their ops: each is an op of its own, and the last op waits until all are over.
func (p *Plan) attach(f *scenario.File, provider cluster.Provider, find func(kind string) Expander) error {
	longest := time.Duration(0)
	for i, fault := range f.Spec.Faults {
		kind, node, component, lasts := fault.Kind()
		if !provider.Has(faultNeeds[kind]) {
			return &MissingError{Step: fmt.Sprintf("faults[%d]", i), Provider: provider.Name(), Capability: faultNeeds[kind]}
		}
		longest = max(longest, lasts)
		when, at := fault.Place()
		op := &Op{
			ID: fmt.Sprintf("faults/%d", i+1), Title: faultTitle(kind, node, component, lasts), Procedure: FaultProcedure, Action: ActionFault, Node: node, Options: fault, Timeout: faultTimeout,
		}
		if !place(&p.Ops, at, when, op, false) {
			path := fmt.Sprintf("spec.faults[%d].at", i)
			line, column := f.Place(path)
			return scenario.Errors{{File: f.Path, Line: line, Column: column, Message: fmt.Sprintf("%s: the plan has no operation %q; it has %s", path, at, strings.Join(p.ids(), ", "))}}
		}
		p.Uses = append(p.Uses, kind)
	}
	if len(f.Spec.Faults) > 0 {
		p.Ops = append(p.Ops, &Op{
			ID: "faults/end", Title: "wait until every fault is over", Procedure: FaultProcedure, Action: ActionFaultsEnd, Timeout: Seconds(longest + FaultBack + faultsMargin),
		})
	}
	return nil
}

func faultTitle(kind, node, component string, lasts time.Duration) string {
	switch kind {
	case "powerOff":
		return fmt.Sprintf("cut the power of %s for %s", node, lasts)
	case "cutOff":
		return fmt.Sprintf("cut %s off from the network for %s", node, lasts)
	case fillDisk:
		return fmt.Sprintf("fill the disk of %s for %s", node, lasts)
	case "etcdNoSpace":
		return fmt.Sprintf("have etcd on %s say for %s that its database is full", node, lasts)
	case "etcdAlarmLeft":
		return fmt.Sprintf("have etcd on %s say from now on that its database is full", node)
	case "etcdOrphan":
		return fmt.Sprintf("have etcd on %s add a member that nobody starts", node)
	case "kill":
		return fmt.Sprintf("kill %s on %s", component, node)
	case "copyManifest":
		return fmt.Sprintf("leave a copy of %s's manifest on %s", component, node)
	}
	return fmt.Sprintf("pause %s on %s for %s", component, node, lasts)
}

// place puts a fault before, after or beside the op with that id. Where the op is one of several that are performed side by side, order needs a parent of its own.
func place(ops *[]*Op, at, when string, fault *Op, sideBySide bool) bool {
	for i, op := range *ops {
		if op.ID != at {
			if place(&op.Ops, at, when, fault, op.Parallel > 1) {
				return true
			}
			continue
		}
		if op.Procedure == "run" {
			return false // there is no cluster yet
		}
		pair := &Op{
			ID: op.ID + "/with-" + strings.TrimPrefix(fault.ID, "faults/"), Title: op.Title + ", with a fault", Procedure: op.Procedure, Action: "with", Node: op.Node,
			Ops: []*Op{op, fault},
		}
		switch {
		case when == scenario.FaultDuring:
			pair.Parallel = 2
			(*ops)[i] = pair
		case when == scenario.FaultBefore && sideBySide:
			slices.Reverse(pair.Ops)
			(*ops)[i] = pair
		case sideBySide:
			(*ops)[i] = pair
		case when == scenario.FaultBefore:
			*ops = slices.Insert(*ops, i, fault)
		default:
			*ops = slices.Insert(*ops, i+1, fault)
		}
		return true
	}
	return false
}

// ids lists the ops that a fault can be at.
func (p *Plan) ids() []string {
	var ids []string
	p.Walk(func(op *Op, _ int) {
		if op.Procedure != "run" && op.Procedure != FaultProcedure {
			ids = append(ids, op.ID)
		}
	})
	return ids
}
