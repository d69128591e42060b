package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/trace"
)

// ops is what became of the plan's ops so far.
type ops struct {
	states []report.Op
	index  map[string]int

	mu     sync.Mutex
	active []string // ids of the leaves under way
}

func newOps(p *plan.Plan) *ops {
	o := &ops{index: map[string]int{}}
	p.Walk(func(op *plan.Op, depth int) {
		o.index[op.ID] = len(o.states)
		o.states = append(o.states, report.Op{Number: op.Number, ID: op.ID, Title: op.Title, Depth: depth, Command: op.Command, State: report.Pending})
	})
	return o
}

// current is the op under way, or what all that are under way side by side have in common; "" when none is.
func (o *ops) current() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.active) == 0 {
		return ""
	}
	common := o.active[0]
	for _, id := range o.active[1:] {
		for id != common && !strings.HasPrefix(id, common+"/") {
			if common = path.Dir(common); common == "." {
				return "" // an op and a fault have nothing in common
			}
		}
	}
	return common
}

func (o *ops) enter(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.active = append(o.active, id)
}

func (o *ops) leave(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.active = slices.DeleteFunc(o.active, func(active string) bool { return active == id })
}

// become notes what became of an op.
func (o *ops) become(id string, change func(*report.Op)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(&o.states[o.index[id]])
}

// worst is how the first op of a list stands that is not done, and Done when all are.
func (o *ops) worst(list []*plan.Op) report.State {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, op := range list {
		if s := o.states[o.index[op.ID]].State; s == report.Failed || s == report.Errored {
			return s
		}
	}
	return report.Done
}

// done tells whether an op is.
func (o *ops) done(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.states[o.index[id]].State == report.Done
}

// failed tells whether an op failed or errored.
func (o *ops) failed() bool {
	for _, s := range o.states {
		if s.State == report.Failed || s.State == report.Errored {
			return true
		}
	}
	return false
}

// act is the work of one leaf.
type act func(ctx context.Context, op *plan.Op, log io.Writer) error

// do performs an op: its children, or itself. It returns false when the ops after it must not be performed. One that is done already stays so.
func (r *rehearsal) do(ctx context.Context, op *plan.Op, work act) (bool, error) {
	if r.ops.done(op.ID) {
		return true, nil
	}
	if len(op.Ops) == 0 {
		return r.leaf(ctx, op, work)
	}
	began := r.Now()
	goOn, err := r.children(ctx, op, work)
	r.set(op, r.ops.worst(op.Ops), began, nil)
	return goOn, err
}

// children performs the children of an op, one after the other or as many side by side as it says. When one does not go well, those under way come to
// their end and no more are begun.
func (r *rehearsal) children(ctx context.Context, op *plan.Op, work act) (bool, error) {
	var mu sync.Mutex
	goOn := true
	var failure error
	var performing errgroup.Group
	performing.SetLimit(max(1, op.Parallel))
	for _, child := range op.Ops {
		performing.Go(func() error {
			mu.Lock()
			stop := !goOn || failure != nil
			mu.Unlock()
			if stop {
				return nil
			}
			ok, err := r.do(ctx, child, work)
			mu.Lock()
			defer mu.Unlock()
			goOn, failure = goOn && ok, errors.Join(failure, err)
			return nil
		})
	}
	_ = performing.Wait() // what went wrong is in failure
	return goOn && failure == nil, failure
}

// leaf performs one op, with its journal entries, its events and its log. What the op's own failure does not explain is returned.
func (r *rehearsal) leaf(ctx context.Context, op *plan.Op, work act) (bool, error) {
	if err := r.journal.write(entry{Op: op.ID, State: trace.OpStarted}); err != nil {
		return false, err
	}
	r.ops.enter(op.ID)
	defer r.ops.leave(op.ID)
	if err := r.opEvent(op, trace.OpStarted, trace.OpData{}); err != nil {
		return false, err
	}
	began := r.Now()
	workErr := r.withLog(op, func(log io.Writer) error {
		limited, cancel := context.WithTimeoutCause(ctx, time.Duration(op.Timeout), fmt.Errorf("op %q was not done within %s", op.ID, time.Duration(op.Timeout)))
		defer cancel()
		return work(limited, op, log)
	})
	if r.Resumable != nil && r.stage != nil && workErr == nil {
		workErr = r.recordRestarts(ctx) // the process that will be asked at the end may be another
	}
	if ctx.Err() != nil && workErr != nil {
		workErr = errors.Join(context.Cause(ctx), workErr)
	}
	state := classify(ctx, workErr)
	data := r.set(op, state, began, workErr)
	err := errors.Join(r.opEvent(op, string(state), data), r.journal.write(entry{Op: op.ID, State: string(state)}))
	if state == report.Errored {
		err = errors.Join(fmt.Errorf("op %q: %w", op.ID, workErr), err)
	}
	return state == report.Done, err
}

// classify tells an outcome of the rehearsal from an error of ours.
func classify(ctx context.Context, err error) report.State {
	var failure *procedure.Failure
	switch {
	case err == nil:
		return report.Done
	case ctx.Err() == nil && errors.As(err, &failure):
		return report.Failed
	}
	return report.Errored
}

// set notes an op's state and tells the reader.
func (r *rehearsal) set(op *plan.Op, state report.State, began time.Time, err error) trace.OpData {
	data := trace.OpData{Seconds: r.Now().Sub(began).Seconds()}
	if err != nil {
		data.Error = err.Error()
	}
	var failure *procedure.Failure
	if errors.As(err, &failure) {
		data.Blockers = failure.Blockers
	}
	from := began.UTC()
	r.ops.become(op.ID, func(s *report.Op) {
		s.From, s.State, s.Seconds, s.Error, s.Blockers = &from, state, data.Seconds, data.Error, data.Blockers
		if len(op.Ops) == 0 {
			s.Log = logName(op)
			fmt.Fprintf(r.Progress, "%-5s %-28s %-60s %-7s %6.1fs\n", op.Number, op.ID, op.Title, state, data.Seconds)
		}
	})
	return data
}

func (r *rehearsal) opEvent(op *plan.Op, change string, data trace.OpData) error {
	return r.record(trace.Event{Op: op.ID, Kind: trace.KindOp, Subject: "op/" + op.ID, Change: change}, data)
}

func logName(op *plan.Op) string { return filepath.Join(logsDir, filepath.FromSlash(op.ID)+".log") }

func (r *rehearsal) withLog(op *plan.Op, work func(io.Writer) error) (err error) {
	path := r.folder.file(logName(op))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the log's folder: %w", err)
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) // a run that is resumed performs it again
	if err != nil {
		return fmt.Errorf("make the log: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	return work(log)
}
