// Package remove is the step delete: kubectl delete, and then waiting until the object is gone.
package remove

import (
	"context"
	"fmt"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
)

// Delete deletes an object, and with it what it owns or what is in it.
type Delete struct{}

// Kind implements procedure.Procedure.
func (Delete) Kind() string { return "delete" }

// Needs implements procedure.Procedure.
func (Delete) Needs() []cluster.Capability { return nil }

// Plan implements procedure.Procedure.
func (Delete) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	d := step.Delete
	return &plan.Op{ID: step.ID, Title: "delete " + objects.ParseRef(d.Object, d.Namespace).String(), Procedure: "delete", Action: "delete", Options: d, Timeout: plan.Seconds(d.Timeout.Duration)}
}

// Do implements procedure.Procedure.
func (Delete) Do(ctx context.Context, env *procedure.Env, step scenario.Step, _ *plan.Op) error {
	ref := objects.ParseRef(step.Delete.Object, step.Delete.Namespace)
	err := env.Objects.Delete(ctx, ref)
	if objects.Refused(err) {
		return procedure.Failf("%v", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Log, "%s deleted\n", ref)
	return procedure.FromWait(env.Objects.AwaitDeleted(ctx, ref))
}
