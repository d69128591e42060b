package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure/fault"
	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

// A run that was killed goes on from its folder: the ops that the journal has as ended are not performed again, the others are, and each finds there what of its work was done.

// ErrNotResumable is wrapped when a run can't go on: it has its verdict, it is under way, it was not to be resumable, or it was killed before its cluster stood.
var ErrNotResumable = errors.New("the run can't be resumed")

// Origin is what a run was started from, so that it can be resumed.
type Origin struct {
	// Scenario is the absolute path that was given.
	Scenario string `json:"scenario"`
	// Flags are those of the command line, with absolute paths.
	Flags []string `json:"flags"`
}

// ReadOrigin reads what the run in a folder was started from. Its errors wrap [ErrNoRun] or [ErrNotResumable].
func ReadOrigin(path string) (Origin, error) {
	f := Folder{Path: path}
	var o Origin
	if _, err := os.Stat(f.file(journalFile)); errors.Is(err, fs.ErrNotExist) {
		return o, fmt.Errorf("resume run %q: %s is missing: %w", path, journalFile, ErrNoRun)
	}
	if _, err := os.Stat(f.file(verdictFile)); err == nil {
		return o, fmt.Errorf("resume run %q: it has ended, and has its verdict: %w", path, ErrNotResumable)
	}
	if _, err := os.Stat(f.file(originFile)); errors.Is(err, fs.ErrNotExist) {
		return o, fmt.Errorf("resume run %q: it was started without --resumable, so its cluster ended with it: %w", path, ErrNotResumable)
	}
	return o, f.readJSON(originFile, &o)
}

// StateDir is where a resumable run keeps its cluster's keys and data, in the run's folder.
func StateDir(folder string) string { return Folder{Path: folder}.file(stateDir) }

// Resume goes on with a run that was killed. o is as it was for [Do]; the folder is there.
func Resume(ctx context.Context, o Options) (*Recording, judge.Result, error) {
	p, promised, err := Plan(o.File, o.Provider)
	if err != nil {
		return nil, judge.Result{}, err
	}
	r, err := again(o, p, promised)
	if err != nil {
		return nil, judge.Result{}, fmt.Errorf("resume run %q: %w", o.Folder, err)
	}
	if r.past.over() {
		return r.conclude(ctx, nil) // it was being judged
	}
	if err := r.bringBack(ctx); err != nil {
		err = errors.Join(err, r.file.Close(), r.journal.close())
		if errors.Is(err, cluster.ErrGone) {
			return nil, judge.Result{}, fmt.Errorf("resume run %q: %w: %w", o.Folder, err, ErrNotResumable)
		}
		return nil, judge.Result{}, fmt.Errorf("resume run %q: it can be tried again: %w", o.Folder, err)
	}
	return r.conclude(ctx, r.goOn(ctx))
}

// createOp is the op after which there is a cluster.
const createOp = "cluster/create"

// past is what an earlier process did of the run.
type past struct {
	began      time.Time
	version    string
	seq        int64
	ops        map[string]report.Op // that came to an end, by id
	stepsBegan bool
	stepsEnded bool
	ended      bool
	failed     bool                       // an op did, so no other was begun
	faults     map[faultKey]bool          // that have not ended
	objects    map[string]json.RawMessage // as they were last, by subject
}

type faultKey struct{ subject, kind string }

// over tells whether no op is to be performed any more.
func (p *past) over() bool { return p.ended || p.failed || p.stepsEnded }

// stopped tells whether a part of the control plane was stopped when the process was killed.
func (p *past) stopped(all *plan.Plan) (stopped bool) {
	all.Walk(func(op *plan.Op, _ int) {
		was, begun := p.ops[op.ID]
		switch {
		case begun && op.Stops:
			stopped = true
		case op.Starts && was.State == report.Done:
			stopped = false
		}
	})
	return stopped
}

// again takes the run's folder over from the process that was killed.
func again(o Options, p *plan.Plan, promised *world.World) (*rehearsal, error) {
	folder := Folder{Path: o.Folder}
	if err := folder.same(o.File, p, promised); err != nil {
		return nil, err
	}
	r := &rehearsal{Options: o, folder: folder, plan: p, promised: promised, ops: newOps(p), restarts: map[ending]bool{}}
	var err error
	if r.journal, err = reopenJournal(folder, o.Now); err != nil {
		return nil, err
	}
	if r.past, err = folder.past(); err == nil && !r.past.ended && r.past.ops[createOp].State != report.Done {
		err = fmt.Errorf("it was killed before its cluster stood; run it again: %w", ErrNotResumable)
	}
	if err == nil && !r.past.over() && r.past.stopped(p) {
		err = fmt.Errorf("it was killed while its control plane was stopped, or without its data; run it again: %w", ErrNotResumable)
	}
	if err == nil {
		r.file, err = os.OpenFile(folder.file(traceFile), os.O_WRONLY|os.O_APPEND, 0)
	}
	if err != nil {
		return nil, errors.Join(err, r.journal.close())
	}
	r.started, r.version = r.past.began, r.past.version
	r.trace = trace.ContinueWriter(r.file, o.Now, r.past.seq)
	for id, op := range r.past.ops {
		if op.State == "" {
			continue // it was under way
		}
		r.ops.become(id, func(s *report.Op) {
			s.State, s.From, s.Seconds, s.Error, s.Blockers, s.Log = op.State, op.From, op.Seconds, op.Error, op.Blockers, op.Log
		})
	}
	return r, nil
}

// same looks whether the scenario, with all that it names, is what the run was started with.
func (f Folder) same(file *scenario.File, p *plan.Plan, promised *world.World) error {
	wanted := map[string][]byte{scenarioFile: file.Source}
	for name, v := range map[string]any{planFile: p, promisedFile: promised} {
		raw, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return fmt.Errorf("encode %s: %w", name, err)
		}
		wanted[name] = append(raw, '\n')
	}
	for _, name := range []string{scenarioFile, planFile, promisedFile} {
		recorded, err := os.ReadFile(f.file(name))
		if err != nil {
			return err
		}
		if !bytes.Equal(recorded, wanted[name]) {
			return fmt.Errorf("%s is not %s any more, with which it was started: %w", file.Path, f.file(name), ErrNotResumable)
		}
	}
	return nil
}

// past reads the journal and the trace. What was being written when the process was killed is cut off both.
func (f Folder) past() (*past, error) {
	p := &past{ops: map[string]report.Op{}, faults: map[faultKey]bool{}, objects: map[string]json.RawMessage{}}
	for _, name := range []string{journalFile, traceFile} {
		if err := f.cutHalfLine(name); err != nil {
			return nil, err
		}
	}
	ended, err := f.endedOps()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(f.file(traceFile))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for lines := trace.NewReader(file); ; {
		e, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err == nil {
			err = p.note(e, ended)
		}
		if err != nil {
			return nil, err
		}
	}
}

// note takes in an event. ended are the ops that the journal has as done; that one failed also its event alone says, so that it is never tried again until it does not.
func (p *past) note(e trace.Event, ended map[string]bool) error {
	p.seq = e.Seq
	switch e.Kind {
	case trace.KindRun:
		return p.run(e)
	case trace.KindOp:
		return p.op(e, ended)
	case trace.KindFault:
		var d trace.FaultData
		if err := e.Unmarshal(&d); err != nil {
			return err
		}
		key := faultKey{e.Subject, d.Fault}
		if p.faults[key] = true; e.Change == trace.FaultEnded {
			delete(p.faults, key)
		}
	case trace.KindObject:
		if p.objects[e.Subject] = e.Data; e.Change == trace.Deleted {
			delete(p.objects, e.Subject)
		}
	}
	return nil
}

func (p *past) run(e trace.Event) error {
	switch e.Change {
	case trace.RunBegan:
		var d trace.RunData
		if err := e.Unmarshal(&d); err != nil {
			return err
		}
		p.began, p.version = e.Time, d.Version
	case trace.StepsBegan:
		p.stepsBegan = true
	case trace.StepsEnded:
		p.stepsEnded = true
	case trace.RunEnded:
		p.ended = true
	}
	return nil
}

func (p *past) op(e trace.Event, ended map[string]bool) error {
	id := strings.TrimPrefix(e.Subject, "op/")
	if e.Change == trace.OpStarted {
		p.ops[id] = report.Op{From: &e.Time}
		return nil
	}
	var d trace.OpData
	if err := e.Unmarshal(&d); err != nil {
		return err
	}
	op := p.ops[id]
	op.State, op.Seconds, op.Error, op.Blockers, op.Log = report.State(e.Change), d.Seconds, d.Error, d.Blockers, logName(&plan.Op{ID: id})
	switch failed := op.State == report.Failed || op.State == report.Errored; {
	case failed || ended[id]:
		p.failed = p.failed || failed
		p.ops[id] = op
	default:
		delete(p.ops, id)
	}
	return nil
}

// endedOps lists the ops that the journal has as done.
func (f Folder) endedOps() (map[string]bool, error) {
	raw, err := os.ReadFile(f.file(journalFile))
	if err != nil {
		return nil, err
	}
	done := map[string]bool{}
	for line := range bytes.Lines(raw) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read the journal: %w", errors.Join(ErrEvidence, err))
		}
		if e.Op != "" {
			done[e.Op] = e.State == trace.OpDone
		}
	}
	return done, nil
}

// cutHalfLine takes off a file what is after its last line.
func (f Folder) cutHalfLine(name string) error {
	raw, err := os.ReadFile(f.file(name))
	if err != nil {
		return err
	}
	if whole := bytes.LastIndexByte(raw, '\n') + 1; whole < len(raw) {
		return os.Truncate(f.file(name), int64(whole))
	}
	return nil
}

// bringBack starts the cluster again.
func (r *rehearsal) bringBack(ctx context.Context) error {
	reopener, ok := r.Provider.(cluster.Reopener)
	if !ok {
		return fmt.Errorf("provider %q lacks the capability %q, which it promised", r.Provider.Name(), cluster.CapReopen)
	}
	made, err := reopener.Reopen(ctx, r.spec(r.Progress))
	if err != nil {
		return err
	}
	r.stage = &stage{cluster: made}
	r.version = made.Version()
	return nil
}

// goOn performs what is left to do.
func (r *rehearsal) goOn(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, r.stopObserving()) }()
	if err := r.mark(trace.RunResumed); err != nil {
		return err
	}
	relist := &relist{record: r.record, known: r.past.objects}
	if err := r.connect(ctx, relist.put); err != nil {
		return err
	}
	if err := relist.rest(); err != nil {
		return err
	}
	for key := range r.past.faults {
		if err := fault.Over(r.env(&plan.Op{}, io.Discard), key.kind, key.subject); err != nil {
			return err
		}
	}
	return r.carryOut(ctx)
}

// relist records the objects of a cluster that is looked at again: first that one is gone, when that is so.
type relist struct {
	record func(trace.Event, any) error

	mu    sync.Mutex
	known map[string]json.RawMessage // until they are seen again
	over  bool
}

func (l *relist) put(e trace.Event, data any) error {
	l.mu.Lock()
	before, ok := l.known[e.Subject]
	ok = ok && !l.over
	delete(l.known, e.Subject)
	l.mu.Unlock()
	if ok {
		raw, err := json.Marshal(data)
		if err != nil {
			return fmt.Errorf("encode %s: %w", e.Subject, err)
		}
		if uid(raw) != uid(before) {
			if err := l.gone(e.Subject, before); err != nil {
				return err
			}
		}
	}
	return l.record(e, data)
}

// rest records that the objects are gone which were not seen again.
func (l *relist) rest() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for subject, before := range l.known {
		if err := l.gone(subject, before); err != nil {
			return err
		}
	}
	return nil
}

func (l *relist) gone(subject string, before json.RawMessage) error {
	return l.record(trace.Event{Kind: trace.KindObject, Subject: subject, Change: trace.Deleted}, before)
}

func uid(object json.RawMessage) string {
	var o struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(object, &o) // what has none is another one
	return o.Metadata.UID
}
