// Package power is the steps powerOff and powerOn: a power cut, and the boot
// after it.
package power

import (
	"context"
	"fmt"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// Off cuts a node's power.
type Off struct{}

// Kind implements procedure.Procedure.
func (Off) Kind() string { return "powerOff" }

// Needs implements procedure.Procedure.
func (Off) Needs() []cluster.Capability { return []cluster.Capability{cluster.CapPower} }

// Plan implements procedure.Procedure.
func (Off) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	return &plan.Op{
		ID: step.ID, Title: "cut the power of " + step.PowerOff.Node, Procedure: "powerOff", Action: "powerOff",
		Node: step.PowerOff.Node, Options: step.PowerOff, Timeout: procedure.Quick,
	}
}

// Do implements procedure.Procedure. The fault is in the trace before it is in the cluster, so that what follows from it is never taken for an act of ours.
func (Off) Do(ctx context.Context, env *procedure.Env, _ scenario.Step, op *plan.Op) error {
	switcher, err := powerOf(env)
	if err != nil {
		return err
	}
	if err := env.Record(trace.KindFault, "node/"+op.Node, trace.FaultBegan, trace.FaultData{Fault: "powerOff"}); err != nil {
		return err
	}
	if err := switcher.PowerOff(ctx, op.Node); err != nil {
		return fmt.Errorf("power off node %q: %w", op.Node, err)
	}
	fmt.Fprintf(env.Log, "node/%s has no power\n", op.Node)
	return nil
}

// On boots a node.
type On struct{}

// Kind implements procedure.Procedure.
func (On) Kind() string { return "powerOn" }

// Needs implements procedure.Procedure.
func (On) Needs() []cluster.Capability { return []cluster.Capability{cluster.CapPower} }

// Plan implements procedure.Procedure.
func (On) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	return &plan.Op{
		ID: step.ID, Title: "boot " + step.PowerOn.Node, Procedure: "powerOn", Action: "powerOn",
		Node: step.PowerOn.Node, Options: step.PowerOn, Timeout: plan.Seconds(step.PowerOn.Timeout.Duration),
	}
}

// Do implements procedure.Procedure.
func (On) Do(ctx context.Context, env *procedure.Env, _ scenario.Step, op *plan.Op) error {
	switcher, err := powerOf(env)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := switcher.PowerOn(ctx, op.Node); err != nil {
		return fmt.Errorf("power on node %q: %w", op.Node, err)
	}
	if err := env.Record(trace.KindFault, "node/"+op.Node, trace.FaultEnded, trace.FaultData{Fault: "powerOff"}); err != nil {
		return err
	}
	fmt.Fprintf(env.Log, "node/%s boots\n", op.Node)
	return procedure.AwaitBoot(ctx, env, op.Node, began)
}

func powerOf(env *procedure.Env) (cluster.Power, error) {
	switcher, ok := env.Cluster.(cluster.Power)
	if !ok {
		return nil, fmt.Errorf("cluster lacks the capability %q, which its provider promised", cluster.CapPower)
	}
	return switcher, nil
}
