// Package plan holds the plan: the numbered tree of operations that a scenario
// expands to, made before anything is touched.
//
//	1    cluster                 create the cluster
//	2    objects                 apply web.yaml
//	3    evict                   drain worker-1
//	3.1  evict/worker-1/cordon   mark worker-1 unschedulable
//	3.2  evict/worker-1/drain    evict its pods
//
// Making a plan is pure: the same scenario and world give the same bytes.
package plan

import (
	"fmt"
	"slices"
	"time"
)

// Plan is what would be done.
type Plan struct {
	Scenario string `json:"scenario"`
	Provider string `json:"provider"`
	// Uses lists the procedures of the plan, which are kinds of step, "probe" when a service is probed, and "etcd" when its members can be asked; sorted. A policy that needs what is not listed does not apply.
	Uses []string `json:"uses"`
	Ops  []*Op    `json:"ops"`
}

// Op is one operation: the unit of the journal, of faults and of resume. An op with children is performed by performing them.
type Op struct {
	// Number is the place in the tree: "3.2".
	Number string `json:"number"`
	// ID is unique in the plan: "evict/worker-1/drain".
	ID string `json:"id"`
	// Title says what is done, for people: "evict the pods of worker-1".
	Title string `json:"title"`
	// Procedure is the kind of step that made the op, or "run" for what the run itself does (cluster, objects).
	Procedure string `json:"procedure"`
	// Action is what the procedure does in this op: "cordon", "drain".
	Action string `json:"action"`
	// Node that the op works on, or "".
	Node string `json:"node,omitempty"`
	// Version of Kubernetes that the op works towards: a minor or exact; "" when it changes none.
	Version string `json:"version,omitempty"`
	// Command is kubectl's own for what the op does through the API, as a runbook has it: kubectl cordon worker-1. Nil where there is none.
	Command []string `json:"command,omitempty"`
	// Options is the step as the scenario wrote it, with defaults, so that policies can judge it.
	Options any `json:"options,omitempty"`
	// Timeout is when the op is given up. Leaves always have one.
	Timeout Seconds `json:"timeoutSeconds,omitempty"`
	Ops     []*Op   `json:"ops,omitempty"`
	// Parallel is how many of the Ops are performed at a time; 0 means one after the other.
	Parallel int `json:"parallel,omitempty"`
	// Stops says that after the op a part of the control plane does not run, until one that Starts it: a run that is killed in between can't be resumed.
	Stops  bool `json:"stops,omitempty"`
	Starts bool `json:"starts,omitempty"`
}

// Seconds is a duration that JSON shows as a number of seconds.
type Seconds time.Duration

// MarshalJSON writes seconds.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%g", time.Duration(s).Seconds()), nil
}

// UnmarshalJSON reads seconds.
func (s *Seconds) UnmarshalJSON(raw []byte) error {
	var v float64
	if _, err := fmt.Sscanf(string(raw), "%g", &v); err != nil {
		return fmt.Errorf("decode seconds %q: %w", raw, err)
	}
	*s = Seconds(v * float64(time.Second))
	return nil
}

// number gives every op its place in the tree.
func number(ops []*Op, prefix string) {
	for i, op := range ops {
		op.Number = fmt.Sprintf("%s%d", prefix, i+1)
		number(op.Ops, op.Number+".")
	}
}

// Walk calls visit for every op, parents first, in the order in which they are performed.
func (p *Plan) Walk(visit func(op *Op, depth int)) {
	walk(p.Ops, 0, visit)
}

func walk(ops []*Op, depth int, visit func(*Op, int)) {
	for _, op := range ops {
		visit(op, depth)
		walk(op.Ops, depth+1, visit)
	}
}

// Versions lists the versions that the plan upgrades to, in order.
func (p *Plan) Versions() []string {
	versions := []string{}
	p.Walk(func(op *Op, _ int) {
		if op.Version != "" && !slices.Contains(versions, op.Version) {
			versions = append(versions, op.Version)
		}
	})
	return versions
}

// Leaves lists the ops that are performed, in order.
func (p *Plan) Leaves() []*Op {
	var leaves []*Op
	p.Walk(func(op *Op, _ int) {
		if len(op.Ops) == 0 {
			leaves = append(leaves, op)
		}
	})
	return leaves
}
