// Package certificates is the steps that look at certificates, renew them, and wait for their end: checkCertificates, renewCertificates, rotateCA and waitUntilExpired.
//
// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/
package certificates

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// needed is what the cluster must be able to do for any of them.
var needed = []cluster.Capability{cluster.CapCertificates}

// lookTimeout is how long a look at all certificates may take.
const lookTimeout = plan.Seconds(2 * time.Minute)

// Check is the step checkCertificates.
type Check struct{}

// Kind implements procedure.Procedure.
func (Check) Kind() string { return "checkCertificates" }

// Needs implements procedure.Procedure.
func (Check) Needs() []cluster.Capability { return needed }

// Plan implements procedure.Procedure.
func (Check) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	return &plan.Op{
		ID: step.ID, Title: "look at every certificate where it really is", Procedure: "checkCertificates", Action: "look", Timeout: plan.Seconds(step.CheckCertificates.Timeout.Duration),
	}
}

// Do implements procedure.Procedure.
func (Check) Do(ctx context.Context, env *procedure.Env, step scenario.Step, _ *plan.Op) error {
	return Look(ctx, env, step.ID)
}

// Expire is the step waitUntilExpired.
type Expire struct{}

// The actions of its ops.
const (
	actionAwait = "await"
	actionWatch = "watch"
	actionLook  = "look"
)

// Kind implements procedure.Procedure.
func (Expire) Kind() string { return "waitUntilExpired" }

// Needs implements procedure.Procedure.
func (Expire) Needs() []cluster.Capability { return needed }

// Plan implements procedure.Procedure.
func (Expire) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	op := func(id, action, title string, timeout plan.Seconds) *plan.Op {
		return &plan.Op{ID: step.ID + "/" + id, Title: title, Procedure: "waitUntilExpired", Action: action, Timeout: timeout}
	}
	watch := step.WaitUntilExpired.Watch
	return &plan.Op{
		ID: step.ID, Title: "wait until the certificates of the beginning have expired", Procedure: "waitUntilExpired", Action: "all", Options: step.WaitUntilExpired,
		Ops: []*plan.Op{
			op("await", actionAwait, "wait until the last of them has", plan.Seconds(scenario.MaxExpiry)),
			op("watch", actionWatch, fmt.Sprintf("watch what comes of it for %s", watch), plan.Seconds(watch.Duration+procedure.Margin)),
			op("look", actionLook, "look at every certificate", lookTimeout),
		},
	}
}

// Do implements procedure.Procedure.
func (Expire) Do(ctx context.Context, env *procedure.Env, step scenario.Step, op *plan.Op) error {
	switch op.Action {
	case actionAwait:
		return await(ctx, env)
	case actionWatch:
		return pass(ctx, step.WaitUntilExpired.Watch.Duration)
	case actionLook:
		return Look(ctx, env, step.ID)
	}
	return fmt.Errorf("op %q has the unknown action %q", op.ID, op.Action)
}

// await waits until the last of the certificates expires that kubeadm or a kubelet renews and that were there when the steps began.
func await(ctx context.Context, env *procedure.Env) error {
	first, err := env.FirstCertificates()
	if err != nil {
		return err
	}
	var last *trace.CertificateData
	for _, subject := range slices.Sorted(maps.Keys(first)) {
		d := first[subject]
		if renewed(d) && (last == nil || d.NotAfter.After(last.NotAfter)) {
			last = d
		}
	}
	if last == nil {
		return fmt.Errorf("nobody looked at the certificates before the steps, so when they expire is not known")
	}
	left := time.Until(last.NotAfter)
	fmt.Fprintf(env.Log, "%s expires last, at %s, in %s\n", last.ID(), last.NotAfter.Format(time.TimeOnly), left.Round(time.Second))
	if left > scenario.MaxExpiry {
		return fmt.Errorf("%s expires in %s, and nobody waits longer than %s", last.ID(), left.Round(time.Second), scenario.MaxExpiry)
	}
	return pass(ctx, left+time.Second) // a certificate is good for the whole of its last second
}

// renewed tells whether kubeadm or a kubelet renews it: no authority, and in their folders.
func renewed(d *trace.CertificateData) bool {
	return !d.Authority && !d.NotAfter.IsZero() && (certs.NameOf(d.Path) != "" || certs.OfKubelet(d.Path)) && d.Part == "" && (d.Place == trace.PlaceDisk || d.Place == trace.PlaceKubeconfig)
}

// pass lets time pass.
func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
