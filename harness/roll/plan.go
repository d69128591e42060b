package roll

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/world"
)

// Planned is a roll that a plan has, and whether it can be carried through.
type Planned struct {
	Options
	Answer
}

// Of checks the rolls of a plan on the world as it is before the first step, by the id of the op that a roll is: the ops below it drain nodes and make them
// schedulable again. Ops that work on several at a time are a roll of their own, as are each hop of an upgrade and the workers of each: a hop drains every node again,
// and only workers may go in another order. What else is drained one after the other in a step is one together. A drain that nothing
// below the same op makes good is none: its node is not to come back. In a promised world no pod has a node yet, and there is nothing to check.
func Of(p *plan.Plan, w *world.World) (map[string]Planned, error) {
	rolls := map[string]Planned{}
	if w.Promised {
		return rolls, nil
	}
	for _, step := range p.Ops {
		for _, r := range find(step) {
			o, err := options(r)
			if err == nil && len(o.Nodes) > 0 {
				planned := Planned{Options: o}
				planned.Answer, err = Check(w, o)
				rolls[r.op.ID] = planned
			}
			if err != nil {
				return nil, fmt.Errorf("check the roll of op %q: %w", r.op.ID, err)
			}
		}
	}
	return rolls, nil
}

// found is an op, and the drains and uncordons below it, in order, that belong to no roll further down.
type found struct {
	op                *plan.Op
	drains, uncordons []*plan.Op
}

// find finds the rolls of an op, however deep: an op of a fault may stand around a drain.
func find(top *plan.Op) []*found {
	all := []*found{{op: top}}
	var visit func(op *plan.Op, in *found)
	visit = func(op *plan.Op, in *found) {
		switch {
		case op != top && (op.Parallel > 1 && op.Action != "with" || op.Action == "hop" || op.Action == "workers"): // a fault beside an op makes no roll of it
			in = &found{op: op}
			all = append(all, in)
		case op.Procedure == "drain" && op.Action == "drain":
			in.drains = append(in.drains, op)
		case op.Action == "uncordon":
			in.uncordons = append(in.uncordons, op)
		}
		for _, below := range op.Ops {
			visit(below, in)
		}
	}
	visit(top, all[0])
	return all
}

// options reads which nodes are drained and come back, and how.
func options(r *found) (Options, error) {
	o := Options{Parallel: max(1, r.op.Parallel)}
	for _, drain := range r.drains {
		if !slices.ContainsFunc(r.uncordons, func(u *plan.Op) bool { return u.Node == drain.Node }) {
			continue
		}
		o.Nodes = append(o.Nodes, drain.Node)
		// The options are a step's, or what was read of a recorded plan.
		raw, err := json.Marshal(drain.Options)
		if err == nil {
			err = json.Unmarshal(raw, &o.Drain)
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}
