// Package run performs a plan: it makes the cluster, does the steps, records what
// happens, has the policies judge it, and leaves nothing but the run's folder.
//
//	recording, result, err := run.Do(ctx, run.Options{…})
//
// It is the only package of the harness that acts.
package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/procedure/catalog"
	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

// Options is what a run needs.
type Options struct {
	// ID names the run and, with a prefix, everything made for it.
	ID       string
	File     *scenario.File
	Provider cluster.Provider
	Library  *judge.Library
	// Folder is the run's folder; it must not exist.
	Folder string
	// StateDir is a private folder for the cluster's keys and data; the caller removes it.
	StateDir string
	// Storage is object storage for backups; nil when no step asks for it.
	Storage *procedure.Storage
	// Scratch restores backups of etcd to prove them.
	Scratch backup.Scratch
	// Resumable is what a run was started from that can be resumed after it was killed; nil for the others. The state of its cluster is in [StateDir].
	Resumable *Origin
	// Command reproduces the run.
	Command string
	// Keep says whether the cluster is left for a person to look at.
	Keep Keep
	// Progress receives a line for each op as it ends.
	Progress io.Writer
	// Now is the clock of the trace and the journal.
	Now func() time.Time
}

// Keep says when a cluster outlives its run.
type Keep string

// When clusters are kept.
const (
	KeepNever     Keep = "never"
	KeepOnFailure Keep = "on-failure" // when the verdict is not Passed
	KeepAlways    Keep = "always"
)

// Plan makes the plan of a scenario and the world that it promises.
func Plan(f *scenario.File, provider cluster.Provider) (*plan.Plan, *world.World, error) {
	p, err := plan.Make(f, provider, func(kind string) plan.Expander {
		if p := catalog.Find(kind); p != nil {
			return p
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	promised, err := plan.Promised(f)
	return p, promised, err
}

// Do performs a run. The reports are written whatever happens. The error says why there is no verdict to rely on; when the run
// had begun it comes together with the recording.
func Do(ctx context.Context, o Options) (*Recording, judge.Result, error) {
	p, promised, err := Plan(o.File, o.Provider)
	if err != nil {
		return nil, judge.Result{}, err
	}
	r, err := start(o, p, promised)
	if err != nil {
		return nil, judge.Result{}, err
	}
	return r.conclude(ctx, r.rehearse(ctx))
}

// rehearsal is a run under way.
type rehearsal struct {
	Options
	folder   Folder
	plan     *plan.Plan
	promised *world.World
	journal  *journal
	trace    *trace.Writer
	file     *os.File
	ops      *ops
	stage    *stage // set while there is a cluster
	version  string
	started  time.Time
	reason   string

	restartsMu sync.Mutex
	restarts   map[ending]bool // the unasked ends of components that are recorded

	past *past // what a process did that was killed; nil when this one is the first
}

func start(o Options, p *plan.Plan, promised *world.World) (*rehearsal, error) {
	folder, err := create(o.Folder)
	if err != nil {
		return nil, err
	}
	r := &rehearsal{Options: o, folder: folder, plan: p, promised: promised, ops: newOps(p), restarts: map[ending]bool{}, started: o.Now().UTC(), version: o.File.Spec.Cluster.KubernetesVersion}
	if r.journal, err = openJournal(folder, o.Now); err != nil {
		return nil, err
	}
	if r.file, err = os.Create(folder.file(traceFile)); err != nil {
		return nil, fmt.Errorf("make the trace: %w", err)
	}
	r.trace = trace.NewWriter(r.file, o.Now)
	if o.Resumable != nil {
		err = folder.writeJSON(originFile, o.Resumable)
	}
	return r, errors.Join(
		err,
		folder.write(scenarioFile, o.File.Source),
		folder.writeJSON(planFile, p),
		folder.writeJSON(promisedFile, promised),
		r.record(trace.Event{Kind: trace.KindRun, Subject: "run/" + o.ID, Change: trace.RunBegan},
			trace.RunData{ID: o.ID, Scenario: o.File.Metadata.Name, Provider: o.Provider.Name(), Version: r.version}),
	)
}

// record writes an event, under the op that is being performed unless it names one.
func (r *rehearsal) record(e trace.Event, data any) error {
	e.Op = cmp.Or(e.Op, r.ops.current())
	_, err := r.trace.Record(e, data)
	return err
}

func (r *rehearsal) mark(change string) error {
	return r.record(trace.Event{Kind: trace.KindRun, Subject: "run/" + r.ID, Change: change}, nil)
}

// rehearse does everything between the plan and the judgement. Its error says why the run can't be relied on; that an op failed is
// no error here, the policies see it.
func (r *rehearsal) rehearse(ctx context.Context) (err error) {
	refused, err := r.refused(ctx, r.promised)
	if err != nil || refused {
		return err
	}
	defer func() { err = errors.Join(err, r.stopObserving()) }()
	return r.carryOut(ctx)
}

// carryOut performs the ops that are not done yet.
func (r *rehearsal) carryOut(ctx context.Context) error {
	if err := r.setUp(ctx); err != nil {
		return err
	}
	if r.ops.failed() {
		return nil
	}
	if r.past != nil && r.past.stepsBegan {
		return r.perform(ctx)
	}
	if err := errors.Join(r.preflight(ctx), r.stage.watches.CatchUp(ctx)); err != nil {
		return err
	}
	found, err := r.found("")
	if err != nil {
		return err
	}
	if err := r.explainDifferences(found); err != nil {
		return err
	}
	if refused, err := r.refused(ctx, found); err != nil || refused {
		return err
	}
	return r.perform(ctx)
}

// refused has the plan policies judge the plan on a world.
func (r *rehearsal) refused(ctx context.Context, w *world.World) (bool, error) {
	result, err := r.Library.Plan(ctx, r.plan, w, r.File.Spec.Policies)
	if err != nil {
		return false, fmt.Errorf("judge the plan: %w", err)
	}
	if result.Verdict == scenario.Failed {
		r.reason = "the plan policies refuse it, so nothing was touched"
		if !w.Promised {
			r.reason = "the plan policies refuse it on the cluster as it was found, so no step was taken"
		}
	}
	return result.Verdict == scenario.Failed, nil
}

// found folds what was recorded so far into the world that the steps will meet, up to an event of the run, if one is given.
func (r *rehearsal) found(until string) (*world.World, error) {
	file, err := os.Open(r.folder.file(traceFile))
	if err != nil {
		return nil, fmt.Errorf("read the trace so far: %w", err)
	}
	defer file.Close()
	return fold(file, until)
}

// fold folds a recording into the world, up to an event of the run, if one is given.
func fold(recording io.Reader, until string) (*world.World, error) {
	f := world.NewFold()
	events, err := trace.ReadAll(recording)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if e.Kind == trace.KindRun && e.Change == until {
			break
		}
		if _, err := f.Apply(e); err != nil {
			return nil, err
		}
	}
	return f.World, nil
}

// conclude judges the recording, removes the cluster or keeps it, writes every file and reports. failure is why the rehearsal itself could not go on.
func (r *rehearsal) conclude(ctx context.Context, failure error) (*Recording, judge.Result, error) {
	ctx = context.WithoutCancel(ctx) // an interrupted run is judged and reported too
	if r.past == nil || !r.past.ended {
		failure = errors.Join(failure, r.mark(trace.RunEnded))
	}
	failure = errors.Join(failure, r.trace.Err(), r.file.Close())
	sums, err := r.folder.digests()
	failure = errors.Join(failure, err)
	rec := &Recording{
		Folder: r.folder, Scenario: r.File, Plan: r.plan, Promised: r.promised,
		Summary: Summary{
			Run: r.ID, Scenario: r.File.Metadata.Name, Description: r.File.Metadata.Description, Provider: r.Provider.Name(), Version: r.version,
			Started: r.started, Ended: r.Now().UTC(), Settings: slices.Concat(r.Provider.Settings(), r.standstills()), Ops: r.ops.states, Command: r.Command, SHA256: sums, Reason: r.reason,
		},
	}
	result, err := Judge(ctx, r.Library, rec)
	failure = errors.Join(failure, err)
	rec.Summary.Kept, err = r.leaveCluster(ctx, failure != nil || result.Verdict != scenario.Passed)
	failure = errors.Join(failure, err)
	if failure != nil {
		rec.Summary.Failure = failure.Error()
	}
	result = rec.Conclude(result)
	rec.Summary.Verdict = result.Verdict
	return rec, result, errors.Join(failure, rec.write(result), r.journal.close())
}

// Conclude keeps a run that could not be carried through from passing, whatever the policies say of its recording.
func (rec *Recording) Conclude(result judge.Result) judge.Result {
	if rec.Summary.Failure != "" && result.Verdict != scenario.Failed {
		result.Verdict = scenario.Errored
	}
	return result
}

// write puts the judgement and every report into the run's folder.
func (rec *Recording) write(result judge.Result) error {
	err := rec.Folder.writeJSON(findingsFile, result)
	if err == nil {
		rec.Summary.SHA256[findingsFile], err = digest(rec.Folder.file(findingsFile))
	}
	return errors.Join(err, rec.Folder.writeJSON(verdictFile, rec.Summary), rec.WriteReports(result))
}

// Report is what the reports show of a recording.
func (rec *Recording) Report(result judge.Result) report.Report {
	s := rec.Summary
	reason := s.Failure
	if reason == "" {
		reason = cmp.Or(s.Reason, strings.Join(result.Reasons, "; "), broken(result))
	}
	return report.Report{
		Run: s.Run, Scenario: s.Scenario, Description: s.Description, Provider: s.Provider, Version: s.Version,
		Started: s.Started, Ended: s.Ended, Folder: rec.Folder.Path, Reproduce: s.Command,
		Verdict: result.Verdict, Reason: reason, Settings: s.Settings, Kept: s.Kept, Ops: s.Ops, Result: result,
	}
}

// broken says in a sentence which policies decide the verdict.
func broken(result judge.Result) string {
	outcomes := map[judge.Outcome][]string{}
	for _, p := range result.Policies {
		outcomes[p.Outcome] = append(outcomes[p.Outcome], p.ID)
	}
	switch result.Verdict {
	case scenario.Failed:
		return "broken: " + strings.Join(outcomes[judge.Broken], ", ")
	case scenario.Errored:
		return "could not tell: " + strings.Join(outcomes[judge.Unknown], ", ")
	}
	return ""
}
