// Package wait is the step wait: kubectl wait, kubectl rollout status, or letting
// time pass.
package wait

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
)

// Wait waits.
type Wait struct{}

// Kind implements procedure.Procedure.
func (Wait) Kind() string { return "wait" }

// Needs implements procedure.Procedure.
func (Wait) Needs() []cluster.Capability { return nil }

// Plan implements procedure.Procedure.
func (Wait) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	w := step.Wait
	op := &plan.Op{ID: step.ID, Procedure: "wait", Options: w}
	if w.Duration.IsZero() {
		op.Action, op.Title = "object", fmt.Sprintf("wait for %s: %s", w.Object, w.For)
		op.Timeout = plan.Seconds(w.Timeout.Duration)
	} else {
		op.Action, op.Title = "duration", fmt.Sprintf("let %s pass", w.Duration)
		op.Timeout = plan.Seconds(w.Duration.Duration + procedure.Margin)
	}
	return op
}

// Do implements procedure.Procedure.
func (Wait) Do(ctx context.Context, env *procedure.Env, step scenario.Step, op *plan.Op) error {
	w := step.Wait
	if op.Action == "duration" {
		return pass(ctx, w.Duration.Duration)
	}
	ref := objects.ParseRef(w.Object, w.Namespace)
	return procedure.FromWait(await(ctx, env.Objects, ref, w.For))
}

func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func await(ctx context.Context, client *objects.Client, ref objects.Ref, what string) error {
	switch what {
	case "rollout":
		return client.AwaitRollout(ctx, ref)
	case "delete":
		return client.AwaitDeleted(ctx, ref)
	}
	if path, value, ok := scenario.CutJSONPath(what); ok {
		return client.AwaitJSONPath(ctx, ref, path, value)
	}
	name, status, found := strings.Cut(strings.TrimPrefix(what, "condition="), "=")
	if !found {
		status = "True"
	}
	return client.AwaitCondition(ctx, ref, name, status)
}
