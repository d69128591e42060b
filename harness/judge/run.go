package judge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"golang.org/x/sync/errgroup"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

// Run judges a recorded run by all policies: those of scope plan over the world in which the steps began, those of scope moment at
// every change between the beginning of the steps and their end, those of scope run at the end. When no step was taken, the plan is judged
// over the world that was found, or over the one that was promised when there never was a whole cluster.
//
// promised is the world that the plan was made from: a plan that was refused before there was a cluster is judged over it again.
//
// A recording that breaks off is judged as far as it goes, and can't have passed. A damaged one is no evidence: the error wraps [trace.ErrDamaged].
func (l *Library) Run(ctx context.Context, recording *trace.Reader, p *plan.Plan, promised *world.World, says scenario.Policies) (Result, error) {
	j, err := l.begin(p, says, ScopePlan, ScopeMoment, ScopeRun)
	if err != nil {
		return Result{}, err
	}
	r := &runJudgement{judgement: j, promised: promised, fold: world.NewFold(), wakes: map[string][]*tally{}, history: newHistory(p)}
	j.doc.World = r.fold.World
	if err := r.read(ctx, recording); err != nil {
		return Result{}, fmt.Errorf("judge recording: %w", err)
	}
	if err := r.conclude(ctx); err != nil {
		return Result{}, fmt.Errorf("judge recording: %w", err)
	}
	result := j.result()
	result.Drills = r.fold.World.Drills()
	result.Commands, err = r.history.executed()
	return result, err
}

// phase says how far the recording has come.
type phase int

const (
	before phase = iota // the steps
	during
	after
)

// runJudgement is one recording being judged.
type runJudgement struct {
	*judgement
	fold     *world.Fold
	promised *world.World
	phase    phase
	last     trace.Event // the last event that was judged
	// wakes remembers which policies each set of collections wakes.
	wakes   map[string][]*tally
	history *history
}

// batch is some events on their way from the reader, and what ended the reading.
type batch struct {
	events []world.Event
	err    error
}

const (
	batchSize  = 256 // events in one batch
	batchAhead = 8   // batches that the reader may be ahead
)

// read takes the recording event by event. Lines are decoded ahead, beside the judging.
func (r *runJudgement) read(ctx context.Context, recording *trace.Reader) error {
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan batch, batchAhead)
	group.Go(func() error {
		defer close(batches)
		for {
			b := nextBatch(recording)
			select {
			case batches <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
			if b.err != nil {
				return nil // the other side hears of it in its turn
			}
		}
	})
	group.Go(func() error {
		for b := range batches {
			for _, e := range b.events {
				if err := r.event(ctx, e); err != nil {
					return err
				}
			}
			if b.err != nil && !errors.Is(b.err, io.EOF) {
				return b.err
			}
		}
		return nil
	})
	return group.Wait()
}

func nextBatch(recording *trace.Reader) batch {
	b := batch{events: make([]world.Event, 0, batchSize)}
	for len(b.events) < batchSize {
		e, err := recording.Next()
		if err != nil {
			b.err = err
			return b
		}
		b.events = append(b.events, world.Read(e))
	}
	return b
}

// event judges one event. What comes after the steps is only read.
func (r *runJudgement) event(ctx context.Context, read world.Event) error {
	e := read.Event
	if r.phase == after {
		return nil
	}
	r.last = e
	switch {
	case e.Kind == trace.KindRun && e.Change == trace.StepsBegan && r.phase == before:
		r.phase = during
		return r.stepsBegan(ctx, e)
	case e.Kind == trace.KindRun && e.Change == trace.StepsEnded && r.phase == during:
		r.phase = after
		return nil
	}
	if err := r.history.note(e); err != nil {
		return errors.Join(trace.ErrDamaged, err)
	}
	change, err := r.fold.ApplyRead(read)
	if err != nil {
		return errors.Join(trace.ErrDamaged, err)
	}
	if r.phase == during && len(change.Touched) > 0 {
		return r.wake(ctx, e, change)
	}
	return nil
}

// stepsBegan judges the plan over the world as it is, and wakes every policy once for everything that is there.
func (r *runJudgement) stepsBegan(ctx context.Context, e trace.Event) error {
	r.doc.First = r.fold.World.Clone()
	r.fold.Forget(e.Time, e.Seq)
	if err := r.judgePlan(ctx); err != nil {
		return err
	}
	return r.wake(ctx, e, world.Change{Touched: everything(r.fold.World)})
}

// everything lists all entities of a world, in order.
func everything(w *world.World) []world.Ref {
	var refs []world.Ref
	v := reflect.ValueOf(w)
	for _, collection := range world.Collections {
		keys := []string{}
		for _, key := range step(v, collection).MapKeys() {
			keys = append(keys, key.String())
		}
		slices.Sort(keys)
		for _, key := range keys {
			refs = append(refs, world.Ref{Collection: collection, Key: key})
		}
	}
	return refs
}

// wake evaluates the policies that a change concerns.
func (r *runJudgement) wake(ctx context.Context, e trace.Event, change world.Change) error {
	touched := map[string][]*ast.Term{}
	for _, ref := range change.Touched {
		touched[ref.Collection] = append(touched[ref.Collection], ast.StringTerm(ref.Key))
	}
	awake := r.woken(sortedKeys(touched))
	if len(awake) == 0 {
		return nil
	}
	r.doc.moment()
	input, err := r.momentInput(e, change, touched)
	if err != nil {
		return err
	}
	policies := make([]*Policy, len(awake))
	for i, t := range awake {
		policies[i] = t.policy
	}
	answers, err := r.evaluate(ctx, policies, input)
	if err != nil {
		return err
	}
	for i, t := range awake {
		if t.moment(answers[i], e); t.failed {
			clear(r.wakes)
		}
	}
	return nil
}

// woken lists the policies of scope moment that a change of these collections wakes.
func (r *runJudgement) woken(collections []string) []*tally {
	key := strings.Join(collections, " ")
	if known, ok := r.wakes[key]; ok {
		return known
	}
	var woken []*tally
	for _, t := range r.awake(ScopeMoment) {
		if slices.ContainsFunc(t.policy.On, func(on string) bool { return slices.Contains(collections, on) }) {
			woken = append(woken, t)
		}
	}
	r.wakes[key] = woken
	return woken
}

func (r *runJudgement) momentInput(e trace.Event, change world.Change, touched map[string][]*ast.Term) (ast.Value, error) {
	was, err := r.doc.term(reflect.ValueOf(change.Before))
	if err != nil {
		return nil, err
	}
	is, err := r.doc.term(reflect.ValueOf(change.After))
	if err != nil {
		return nil, err
	}
	keys := ast.NewObject()
	for _, collection := range sortedKeys(touched) {
		keys.Insert(ast.InternedTerm(collection), ast.ArrayTerm(touched[collection]...))
	}
	op := ast.StringTerm(e.Op)
	event := object(
		"seq", ast.IntNumberTerm(int(e.Seq)), "kind", ast.InternedTerm(string(e.Kind)), "subject", ast.StringTerm(e.Subject),
		"change", ast.InternedTerm(e.Change), "op", op, "before", was, "after", is,
	)
	return object("event", event, "touched", ast.NewTerm(keys), "op", op, "plan", ast.NewTerm(r.plan), "params", noParams).Value, nil
}

// noParams is input.params of policies without parameters; the query replaces it for the others.
var noParams = ast.ObjectTerm()

// conclude judges what can only be judged at the end.
func (r *runJudgement) conclude(ctx context.Context) error {
	for _, t := range r.tallies {
		t.end(r.last)
	}
	r.reasons = append(r.reasons, r.history.ended(trace.OpErrored)...)
	switch r.phase {
	case before:
		return r.concludeBefore(ctx)
	case during:
		r.reasons = append(r.reasons, "the recording ends before the steps do")
		r.doubt(ScopeRun, "the recording ends before the steps do")
		return nil
	}
	whole := span{From: &r.last.Time, To: &r.last.Time, FromSeq: r.last.Seq, ToSeq: r.last.Seq}
	input, err := r.runInput()
	if err != nil {
		return err
	}
	return r.judgeOnce(ctx, ScopeRun, input, whole, r.history.opAt)
}

// concludeBefore judges a run that performed no step. When its plan broke a policy, that is why, and the rest does not apply.
func (r *runJudgement) concludeBefore(ctx context.Context) error {
	if len(r.fold.World.Nodes) == 0 {
		r.doc.World = r.promised // there was no cluster yet
	}
	if err := r.judgePlan(ctx); err != nil {
		return err
	}
	if r.result().Verdict == scenario.Failed {
		for _, t := range slices.Concat(r.awake(ScopeMoment), r.awake(ScopeRun)) {
			t.notApplied = "the plan broke a policy, so no step was performed"
		}
		return nil
	}
	r.reasons = append(r.reasons, "the recording ends before the steps begin")
	r.doubt(ScopeMoment, "the recording ends before the steps begin")
	r.doubt(ScopeRun, "the recording ends before the steps begin")
	return nil
}

func (r *runJudgement) doubt(scope Scope, why string) {
	for _, t := range r.awake(scope) {
		t.doubt = why
	}
}

func (r *runJudgement) runInput() (ast.Value, error) {
	input, err := jsonValue(map[string]any{
		"ops":       r.history.ops,
		"commands":  r.history.commands,
		"intervals": append([]world.Interval{}, r.fold.Intervals(r.last.Time, r.last.Seq)...),
		"endSeq":    r.last.Seq,
		"params":    map[string]any{},
	})
	if err != nil {
		return nil, err
	}
	input.(ast.Object).Insert(ast.StringTerm("plan"), ast.NewTerm(r.plan))
	return input, nil
}

// history is what became of the ops, and the commands that were executed.
type history struct {
	ops      []*opHistory
	commands []command
	byID     map[string]*opHistory
	// turns are the events at which another op became the innermost one under way.
	turns []turn
}

type turn struct {
	seq int64
	op  string
}

// opHistory is an element of input.ops: one op of the plan, in its order, and what became of it.
type opHistory struct {
	ID        string `json:"id"`
	Number    string `json:"number"`
	Title     string `json:"title"`
	Procedure string `json:"procedure"`
	Action    string `json:"action"`
	Node      string `json:"node"`
	// Leaf says that the op has no ops below it.
	Leaf bool `json:"leaf"`
	// State is pending, started, done, failed, errored or skipped.
	State    string          `json:"state"`
	Seconds  float64         `json:"seconds"`
	Error    string          `json:"error"`
	Blockers []trace.Blocker `json:"blockers"`
	span
}

// command is an element of input.commands.
type command struct {
	Seq     int64           `json:"seq"`
	Time    time.Time       `json:"time"`
	Op      string          `json:"op"`
	Subject string          `json:"subject"`
	Change  string          `json:"change"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func newHistory(p *plan.Plan) *history {
	h := &history{ops: []*opHistory{}, commands: []command{}, byID: map[string]*opHistory{}}
	p.Walk(func(op *plan.Op, _ int) {
		o := &opHistory{
			ID: op.ID, Number: op.Number, Title: op.Title, Procedure: op.Procedure, Action: op.Action, Node: op.Node,
			Leaf: len(op.Ops) == 0, State: "pending", Blockers: []trace.Blocker{},
		}
		h.ops = append(h.ops, o)
		h.byID[o.ID] = o
	})
	return h
}

func (h *history) note(e trace.Event) error {
	if n := len(h.turns); n == 0 || h.turns[n-1].op != e.Op {
		h.turns = append(h.turns, turn{e.Seq, e.Op})
	}
	switch e.Kind {
	case trace.KindCommand:
		h.commands = append(h.commands, command{e.Seq, e.Time, e.Op, e.Subject, e.Change, e.Data})
	case trace.KindOp:
		return h.op(e)
	}
	return nil
}

// executed are the commands of the operations. Those that look at the cluster before and after them are in the recording.
func (h *history) executed() ([]Command, error) {
	var all []Command
	for _, c := range h.commands {
		if c.Op == "" {
			continue
		}
		var d trace.CommandData
		if err := json.Unmarshal(c.Data, &d); err != nil {
			return nil, fmt.Errorf("read event %d: %w", c.Seq, err)
		}
		all = append(all, Command{Op: c.Op, Node: strings.TrimPrefix(c.Subject, "node/"), Argv: d.Argv, Seconds: d.Seconds, Error: d.Error})
	}
	return all, nil
}

func (h *history) op(e trace.Event) error {
	id := strings.TrimPrefix(e.Subject, "op/")
	op := h.byID[id]
	if op == nil {
		return fmt.Errorf("event %d: the plan has no op %q", e.Seq, id)
	}
	op.State = e.Change
	if e.Change == trace.OpStarted {
		op.From, op.FromSeq = &e.Time, e.Seq
		return nil
	}
	var d trace.OpData
	if len(e.Data) > 0 {
		if err := e.Unmarshal(&d); err != nil {
			return err
		}
	}
	op.To, op.ToSeq, op.Seconds, op.Error = &e.Time, e.Seq, d.Seconds, d.Error
	op.Blockers = append(op.Blockers, d.Blockers...)
	return nil
}

// ended says which ops ended in a state, and why.
func (h *history) ended(state string) []string {
	var reasons []string
	for _, op := range h.ops {
		if op.Leaf && op.State == state {
			reasons = append(reasons, fmt.Sprintf("op %s %s: %s", op.ID, state, op.Error))
		}
	}
	return reasons
}

// opAt is the op that was under way at an event.
func (h *history) opAt(seq int64) string {
	i, found := slices.BinarySearchFunc(h.turns, seq, func(t turn, seq int64) int { return int(t.seq - seq) })
	if found {
		return h.turns[i].op
	}
	if i == 0 {
		return ""
	}
	return h.turns[i-1].op
}
