package roll

import (
	"encoding/json"
	"fmt"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/world"
)

// Planned is a roll that a plan has, and whether it can be carried through.
type Planned struct {
	Options
	Answer
}

// Of checks each roll of a plan on the world that it would meet, by the id of the op that it is: one whose ops drain a node each and make it
// schedulable again. In a promised world no pod has a node yet, and there is nothing to check.
func Of(p *plan.Plan, w *world.World) (map[string]Planned, error) {
	rolls := map[string]Planned{}
	if w.Promised {
		return rolls, nil
	}
	var failure error
	p.Walk(func(op *plan.Op, _ int) {
		o, err := options(op)
		if err == nil && len(o.Nodes) > 0 {
			roll := Planned{Options: o}
			roll.Answer, err = Check(w, o)
			rolls[op.ID] = roll
		}
		if err != nil && failure == nil {
			failure = fmt.Errorf("check the roll of op %q: %w", op.ID, err)
		}
	})
	return rolls, failure
}

// options reads which nodes the ops of an op drain, and how.
func options(op *plan.Op) (Options, error) {
	o := Options{Parallel: max(1, op.Parallel)}
	for _, node := range op.Ops {
		var drain, uncordon *plan.Op
		for _, leaf := range node.Ops {
			switch {
			case leaf.Procedure == "drain" && leaf.Action == "drain":
				drain = leaf
			case leaf.Action == "uncordon":
				uncordon = leaf
			}
		}
		if drain == nil || uncordon == nil || drain.Node != uncordon.Node {
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
