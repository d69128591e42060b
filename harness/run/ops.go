package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/trace"
)

// ops is what became of the plan's ops so far.
type ops struct {
	states []report.Op
	index  map[string]int

	mu  sync.Mutex
	now string
}

func newOps(p *plan.Plan) *ops {
	o := &ops{index: map[string]int{}}
	p.Walk(func(op *plan.Op, depth int) {
		o.index[op.ID] = len(o.states)
		o.states = append(o.states, report.Op{Number: op.Number, ID: op.ID, Title: op.Title, Depth: depth, State: report.Pending})
	})
	return o
}

// current is the op under way, or "".
func (o *ops) current() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *ops) enter(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = id
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

// do performs an op: its children one after the other, or itself. It returns false when the ops after it must not be performed.
func (r *rehearsal) do(ctx context.Context, op *plan.Op, work act) (bool, error) {
	if len(op.Ops) == 0 {
		return r.leaf(ctx, op, work)
	}
	began := r.Now()
	for _, child := range op.Ops {
		if goOn, err := r.do(ctx, child, work); err != nil || !goOn {
			r.set(op, r.ops.states[r.ops.index[child.ID]].State, began, nil)
			return goOn, err
		}
	}
	r.set(op, report.Done, began, nil)
	return true, nil
}

// leaf performs one op, with its journal entries, its events and its log. What the op's own failure does not explain is returned.
func (r *rehearsal) leaf(ctx context.Context, op *plan.Op, work act) (bool, error) {
	if err := r.journal.write(entry{Op: op.ID, State: trace.OpStarted}); err != nil {
		return false, err
	}
	r.ops.enter(op.ID)
	defer r.ops.enter("")
	if err := r.opEvent(op, trace.OpStarted, trace.OpData{}); err != nil {
		return false, err
	}
	began := r.Now()
	workErr := r.withLog(op, func(log io.Writer) error {
		limited, cancel := context.WithTimeoutCause(ctx, time.Duration(op.Timeout), fmt.Errorf("op %q was not done within %s", op.ID, time.Duration(op.Timeout)))
		defer cancel()
		return work(limited, op, log)
	})
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
	s := &r.ops.states[r.ops.index[op.ID]]
	from := began.UTC()
	s.From, s.State, s.Seconds, s.Error, s.Blockers = &from, state, data.Seconds, data.Error, data.Blockers
	if len(op.Ops) == 0 {
		s.Log = logName(op)
		fmt.Fprintf(r.Progress, "%-5s %-28s %-60s %-7s %6.1fs\n", op.Number, op.ID, op.Title, state, data.Seconds)
	}
	return data
}

func (r *rehearsal) opEvent(op *plan.Op, change string, data trace.OpData) error {
	return r.record(trace.Event{Kind: trace.KindOp, Subject: "op/" + op.ID, Change: change}, data)
}

func logName(op *plan.Op) string { return filepath.Join(logsDir, filepath.FromSlash(op.ID)+".log") }

func (r *rehearsal) withLog(op *plan.Op, work func(io.Writer) error) (err error) {
	path := r.folder.file(logName(op))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the log's folder: %w", err)
	}
	log, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make the log: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	return work(log)
}
