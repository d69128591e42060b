// Package cordon is the steps cordon and uncordon: kubectl cordon and kubectl
// uncordon, through kubectl's own library.
package cordon

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/drain"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
)

// Cordon marks a node unschedulable.
type Cordon struct{}

// Kind implements procedure.Procedure.
func (Cordon) Kind() string { return "cordon" }

// Needs implements procedure.Procedure.
func (Cordon) Needs() []cluster.Capability { return nil }

// Plan implements procedure.Procedure.
func (Cordon) Plan(step scenario.Step) *plan.Op {
	return &plan.Op{
		ID: step.ID, Title: "mark " + step.Cordon.Node + " unschedulable", Procedure: "cordon", Action: "cordon",
		Node: step.Cordon.Node, Options: step.Cordon, Timeout: procedure.Quick,
	}
}

// Do implements procedure.Procedure.
func (Cordon) Do(ctx context.Context, env *procedure.Env, _ scenario.Step, op *plan.Op) error {
	return Set(ctx, env, op.Node, true)
}

// Uncordon marks a node schedulable.
type Uncordon struct{}

// Kind implements procedure.Procedure.
func (Uncordon) Kind() string { return "uncordon" }

// Needs implements procedure.Procedure.
func (Uncordon) Needs() []cluster.Capability { return nil }

// Plan implements procedure.Procedure.
func (Uncordon) Plan(step scenario.Step) *plan.Op {
	return &plan.Op{
		ID: step.ID, Title: "mark " + step.Uncordon.Node + " schedulable", Procedure: "uncordon", Action: "uncordon",
		Node: step.Uncordon.Node, Options: step.Uncordon, Timeout: procedure.Quick,
	}
}

// Do implements procedure.Procedure.
func (Uncordon) Do(ctx context.Context, env *procedure.Env, _ scenario.Step, op *plan.Op) error {
	return Set(ctx, env, op.Node, false)
}

// Set makes a node unschedulable, or schedulable again, and looks whether it is.
func Set(ctx context.Context, env *procedure.Env, node string, unschedulable bool) error {
	n, err := env.Kube.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read node %q: %w", node, err)
	}
	helper := &drain.Helper{Ctx: ctx, Client: env.Kube, Out: env.Log, ErrOut: env.Log}
	if err := drain.RunCordonOrUncordon(helper, n, unschedulable); err != nil {
		return fmt.Errorf("set node %q unschedulable=%t: %w", node, unschedulable, err)
	}
	n, err = env.Kube.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read node %q again: %w", node, err)
	}
	if n.Spec.Unschedulable != unschedulable {
		return procedure.Failf("node %q: expected spec.unschedulable %t, found %t after setting it", node, unschedulable, n.Spec.Unschedulable)
	}
	if err := env.Recorded(ctx, "node/"+node, n.ResourceVersion); err != nil {
		return err
	}
	fmt.Fprintf(env.Log, "node/%s unschedulable=%t\n", node, unschedulable)
	return nil
}
