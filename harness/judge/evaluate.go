package judge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/seatrial/seatrial/harness/trace"
)

// said is what one policy said in one evaluation.
type said struct {
	Subjects []string    `json:"subjects"`
	Deny     []statement `json:"deny"`
	Unknown  []statement `json:"unknown"`
	// failed is why it could not be evaluated, or "".
	failed string
}

// statement is one element of deny or of unknown.
type statement struct {
	Subject string `json:"subject"`
	Msg     string `json:"msg"`
	// Change says what to change, when that depends on the subject. Optional.
	Change string `json:"change"`
	// Interval is when it held, for policies of scope run: an element of input.intervals or input.ops. Optional.
	Interval *span `json:"interval"`
}

// span is a part of a recording.
type span struct {
	From    *time.Time `json:"from,omitempty"`
	To      *time.Time `json:"to,omitempty"`
	FromSeq int64      `json:"fromSeq,omitempty"`
	ToSeq   int64      `json:"toSeq,omitempty"`
	Open    bool       `json:"open,omitempty"`
}

// evaluator evaluates policies over one document. Policies that are asked together are one prepared query, which is kept.
type evaluator struct {
	lib      *Library
	doc      *document
	prepared map[string]rego.PreparedEvalQuery // by the ids of the policies
}

func newEvaluator(lib *Library, doc *document) *evaluator {
	return &evaluator{lib: lib, doc: doc, prepared: map[string]rego.PreparedEvalQuery{}}
}

// evaluate asks policies about one input and returns what each said. An error in one of them makes them be asked one by one, so that
// it is known whose it is. The error is ctx's own.
func (ev *evaluator) evaluate(ctx context.Context, policies []*Policy, input ast.Value) ([]said, error) {
	if len(policies) == 0 {
		return nil, nil
	}
	answers, err := ev.ask(ctx, policies, input)
	switch {
	case err == nil:
		return answers, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case len(policies) == 1:
		return []said{{failed: err.Error()}}, nil
	}
	answers = nil
	for _, p := range policies {
		one, err := ev.evaluate(ctx, []*Policy{p}, input)
		if err != nil {
			return nil, err
		}
		answers = append(answers, one...)
	}
	return answers, nil
}

func (ev *evaluator) ask(ctx context.Context, policies []*Policy, input ast.Value) ([]said, error) {
	query, err := ev.prepare(ctx, policies)
	if err != nil {
		return nil, err
	}
	deadline := ev.lib.Deadline * time.Duration(len(policies))
	// A context that ends would cost a goroutine an evaluation.
	stop := topdown.NewCancel()
	timer := time.AfterFunc(deadline, stop.Cancel)
	defer timer.Stop()
	defer context.AfterFunc(ctx, stop.Cancel)()
	results, err := query.Eval(context.WithoutCancel(ctx), rego.EvalParsedInput(input), rego.EvalExternalCancel(stop))
	switch {
	case stop.Cancelled() || topdown.IsCancel(err):
		return nil, fmt.Errorf("did not finish within %s", deadline)
	case err != nil:
		return nil, err
	case len(results) != 1:
		return nil, errors.New("has no answer")
	}
	answers := make([]said, len(policies))
	for i := range policies {
		if err := answers[i].decode(results[0].Bindings[variable(i)]); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func variable(i int) string { return "p" + strconv.Itoa(i) }

// prepare returns the query of some policies.
func (ev *evaluator) prepare(ctx context.Context, policies []*Policy) (rego.PreparedEvalQuery, error) {
	var key strings.Builder
	for _, p := range policies {
		key.WriteString(p.ID)
		key.WriteByte(' ')
	}
	if query, ok := ev.prepared[key.String()]; ok {
		return query, nil
	}
	query, err := rego.New(rego.Query(queryText(policies)), rego.Compiler(ev.lib.compiler), rego.Store(ev.doc), rego.StrictBuiltinErrors(true)).PrepareForEval(ctx)
	if err != nil {
		return query, fmt.Errorf("prepare query: %w", err)
	}
	ev.prepared[key.String()] = query
	return query, nil
}

// queryText asks each policy what it says: p0 = {"subjects": …, "deny": …}; p1 = …
func queryText(policies []*Policy) string {
	parts := make([]string, len(policies))
	for i, p := range policies {
		group, name, _ := strings.Cut(p.ID, "/")
		ref := fmt.Sprintf("data.seatrial[%q][%q]", group, name)
		rules := fmt.Sprintf(`"subjects": %s.subjects, "deny": %s.deny`, ref, ref)
		if p.speaksUnknown {
			rules += fmt.Sprintf(`, "unknown": %s.unknown`, ref)
		}
		parts[i] = fmt.Sprintf("%s = {%s}", variable(i), rules)
		if len(p.Params) > 0 {
			parts[i] += fmt.Sprintf(" with input.params as data.params[%q]", p.ID)
		}
	}
	return strings.Join(parts, "; ")
}

// decode reads what a policy said and puts it in order.
func (s *said) decode(v any) error {
	if answer, ok := v.(map[string]any); ok && silent(answer) {
		return nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	if err := json.Unmarshal(raw, s); err != nil {
		return fmt.Errorf(`answers with something else than subjects that are strings and {"subject": …, "msg": …}: %w`, err)
	}
	for _, list := range [][]statement{s.Deny, s.Unknown} {
		slices.SortFunc(list, func(a, b statement) int { return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Msg, b.Msg)) })
		for _, st := range list {
			if st.Subject == "" || st.Msg == "" {
				return fmt.Errorf(`answers with {"subject": %q, "msg": %q}: both are needed`, st.Subject, st.Msg)
			}
		}
	}
	return nil
}

// silent tells whether a policy said nothing at all, which is what most policies say at most moments.
func silent(answer map[string]any) bool {
	for _, list := range answer {
		if elements, ok := list.([]any); !ok || len(elements) > 0 {
			return false
		}
	}
	return true
}

// tally is what one policy has said so far.
type tally struct {
	policy   *Policy
	subjects map[string]bool
	// open are the findings of scope moment that still hold, by subject.
	open     map[string]*Finding
	findings []*Finding
	// doubt is the first reason for Unknown, failed whether the policy can't be evaluated any more.
	doubt  string
	failed bool
	// notApplied is why the policy isn't evaluated at all, or "".
	notApplied string
}

// asleep tells whether the policy is not to be evaluated.
func (t *tally) asleep() bool { return t.failed || t.notApplied != "" }

// look notes what the policy looked at and doubted. A subject that it denies or doubts was looked at, whether it says so or not.
func (t *tally) look(s said) {
	for _, subject := range s.Subjects {
		t.subjects[subject] = true
	}
	for _, st := range slices.Concat(s.Deny, s.Unknown) {
		t.subjects[st.Subject] = true
	}
	if s.failed != "" {
		t.failed = true
		t.doubt = cmp.Or(t.doubt, "could not be evaluated: "+s.failed)
	}
	if len(s.Unknown) > 0 {
		t.doubt = cmp.Or(t.doubt, s.Unknown[0].Subject+": "+s.Unknown[0].Msg)
	}
}

// moment notes what a policy of scope moment said at an event: findings open, go on, and close.
func (t *tally) moment(s said, e trace.Event) {
	t.look(s)
	if t.failed {
		return
	}
	denied := map[string][]statement{}
	for _, st := range s.Deny {
		denied[st.Subject] = append(denied[st.Subject], st)
	}
	for _, subject := range s.Subjects {
		if f := t.open[subject]; f != nil && denied[subject] == nil {
			f.To, f.ToSeq = &e.Time, e.Seq
			delete(t.open, subject)
		}
	}
	for _, subject := range sortedKeys(denied) {
		f := t.open[subject]
		if f == nil {
			f = t.find(denied[subject]...)
			f.Op, f.From, f.FromSeq = e.Op, &e.Time, e.Seq
			t.open[subject] = f
		}
		f.Moments++
	}
}

// once notes what a policy said that is evaluated once. Findings without an interval of their own hold at the moment of whole.
func (t *tally) once(s said, whole span, opAt func(seq int64) string) {
	t.look(s)
	for _, st := range s.Deny {
		f := t.find(st)
		in := whole
		if st.Interval != nil {
			in = *st.Interval
		}
		f.From, f.To, f.FromSeq, f.ToSeq, f.Open = in.From, in.To, in.FromSeq, in.ToSeq, in.Open
		if st.Interval != nil {
			f.Op = opAt(in.FromSeq)
		}
	}
}

// find makes one finding of what was said of one subject.
func (t *tally) find(said ...statement) *Finding {
	f := &Finding{Policy: t.policy.ID, Severity: t.policy.Severity, Scope: t.policy.Scope, Subject: said[0].Subject}
	var messages, changes []string
	for _, st := range said {
		messages = append(messages, st.Msg)
		if st.Change != "" {
			changes = append(changes, st.Change)
		}
	}
	f.Message, f.Change = strings.Join(messages, "; "), strings.Join(changes, "; ")
	t.findings = append(t.findings, f)
	return f
}

// end closes what still holds when the steps end.
func (t *tally) end(e trace.Event) {
	for _, f := range t.open {
		f.To, f.ToSeq, f.Open = &e.Time, e.Seq, true
	}
}

// result says what became of the policy. Its findings are accepted or not by now.
func (t *tally) result() PolicyResult {
	r := PolicyResult{ID: t.policy.ID, Title: t.policy.Title, Severity: t.policy.Severity, Scope: t.policy.Scope, Remedy: t.policy.Remedy, Subjects: len(t.subjects)}
	broken := slices.ContainsFunc(t.findings, func(f *Finding) bool { return f.Accepted == "" })
	switch {
	case t.notApplied != "":
		r.Outcome, r.Reason = NotApplied, t.notApplied
	case broken:
		r.Outcome, r.Reason = Broken, t.doubt
	case t.doubt != "":
		r.Outcome, r.Reason = Unknown, t.doubt
	case len(t.subjects) == 0 && !t.policy.MayBeEmpty:
		r.Outcome, r.Reason = Unknown, "looked at nothing"
	default:
		r.Outcome = Held
		if len(t.subjects) == 0 {
			r.Reason = "there was nothing to look at"
		}
	}
	return r
}
