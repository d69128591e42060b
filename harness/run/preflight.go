package run

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/observe"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure/certificates"
	"github.com/seatrial/seatrial/harness/procedure/upgrade"
	"github.com/seatrial/seatrial/harness/trace"
)

// What the policies of scope plan want to know before an upgrade, and no watch tells.

const (
	// preflightTimeout is how long all of it may take.
	preflightTimeout = 2 * time.Minute
	// askedAtOnce is how many nodes are asked side by side.
	askedAtOnce = 4
)

// preflight asks the cluster about what an upgrade may break, when the plan has one, and looks at its certificates, when it is about them.
func (r *rehearsal) preflight(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, preflightTimeout, fmt.Errorf("the questions before the steps were not answered within %s", preflightTimeout))
	defer cancel()
	if err := r.lookAtCertificates(ctx, firstLook); err != nil {
		return err
	}
	if len(r.plan.Versions()) == 0 {
		return nil
	}
	if err := r.recordDeprecated(ctx, ""); err != nil {
		return err
	}
	if err := upgrade.RecordServed(ctx, r.env(&plan.Op{}, io.Discard)); err != nil {
		return err
	}
	return r.recordFlags(ctx)
}

// The names of the looks at all certificates before the steps and after them: certificates/before. No step has them.
const (
	firstLook = "before"
	lastLook  = "after"
)

// lookAtCertificates looks at all certificates when the plan is about them.
func (r *rehearsal) lookAtCertificates(ctx context.Context, name string) error {
	if !r.File.LooksAtCertificates() {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, preflightTimeout, fmt.Errorf("the certificates were not looked at within %s", preflightTimeout))
	defer cancel()
	return certificates.Look(ctx, r.env(&plan.Op{}, io.Discard), name)
}

// firstCertificates are what that look found.
func (r *rehearsal) firstCertificates() (map[string]*trace.CertificateData, error) {
	first, err := r.found(trace.StepsBegan)
	if err != nil {
		return nil, err
	}
	return first.Certificates, nil
}

// recordDeprecated puts the deprecated APIs that clients have requested into the recording, in an op or before all steps: an upgrade may remove them.
func (r *rehearsal) recordDeprecated(ctx context.Context, op string) error {
	found, err := observe.DeprecatedAPIs(ctx, r.stage.cluster.APIServers(), r.stage.meta)
	if err != nil {
		return fmt.Errorf("ask which deprecated APIs were requested: %w", err)
	}
	for _, subject := range slices.Sorted(maps.Keys(found)) {
		if err := r.record(trace.Event{Op: op, Kind: trace.KindFact, Subject: subject, Change: trace.Requested}, found[subject]); err != nil {
			return err
		}
	}
	return nil
}

// recordFlags asks the programs of every version that the plan goes to whether they take the flags of now.
func (r *rehearsal) recordFlags(ctx context.Context) error {
	upgrader, ok := r.stage.cluster.(cluster.Upgrader)
	if !ok {
		return fmt.Errorf("cluster lacks the capability %q, which its provider promised", cluster.CapUpgrade)
	}
	for _, version := range r.plan.Versions() {
		asking, ctx := errgroup.WithContext(ctx)
		asking.SetLimit(askedAtOnce)
		for _, node := range r.stage.cluster.Nodes() {
			asking.Go(func() error { return r.recordFlagsOf(ctx, upgrader, node.Name, version) })
		}
		if err := asking.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// recordFlagsOf asks the programs of one version for one node.
func (r *rehearsal) recordFlagsOf(ctx context.Context, upgrader cluster.Upgrader, node, version string) error {
	checks, err := upgrader.CheckFlags(ctx, node, version)
	if err != nil {
		return fmt.Errorf("ask whether %s takes the flags of now: %w", version, err)
	}
	for _, check := range checks {
		subject := "component/" + node + "/" + check.Component
		data := trace.FlagsData{Version: version, Component: subject, Refusal: check.Refusal}
		if err := r.record(trace.Event{Kind: trace.KindFact, Subject: subject, Change: trace.FlagsChecked}, data); err != nil {
			return err
		}
	}
	return nil
}
