// Package apply is the step apply: kubectl apply --server-side, and then waiting
// until the workloads have rolled out.
package apply

import (
	"context"
	"errors"
	"fmt"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
)

// Apply applies a file.
type Apply struct{}

// Kind implements procedure.Procedure.
func (Apply) Kind() string { return "apply" }

// Needs implements procedure.Procedure.
func (Apply) Needs() []cluster.Capability { return nil }

// Plan implements procedure.Procedure.
func (Apply) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	return &plan.Op{
		ID: step.ID, Title: "apply " + step.Apply.File, Procedure: "apply", Action: "apply",
		Options: step.Apply, Timeout: plan.Seconds(step.Apply.Timeout.Duration),
	}
}

// Do implements procedure.Procedure.
func (Apply) Do(ctx context.Context, env *procedure.Env, step scenario.Step, _ *plan.Op) error {
	await := step.Apply.Await == nil || *step.Apply.Await
	return File(ctx, env, step.Apply.File, await)
}

// File applies a file of the scenario and, if asked, waits until its workloads are ready.
func File(ctx context.Context, env *procedure.Env, file string, await bool) error {
	manifests := env.Manifests(file)
	if err := env.Objects.Apply(ctx, manifests); err != nil {
		if errors.Is(err, objects.ErrRejected) {
			return procedure.Failf("%v", err)
		}
		return err
	}
	fmt.Fprintf(env.Log, "applied %d objects of %s\n", len(manifests), file)
	if !await {
		return nil
	}
	for _, ref := range objects.Workloads(manifests) {
		if err := env.Objects.AwaitReady(ctx, ref); err != nil {
			return procedure.FromWait(err)
		}
		fmt.Fprintf(env.Log, "%s is ready\n", ref)
	}
	return nil
}
