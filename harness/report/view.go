package report

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/scenario"
)

// What every format asks of a report: which ops and findings broke it, when, and where the evidence is.

// The files of a run's folder that findings point into.
const (
	traceFile = "trace.jsonl"
	planFile  = "plan.json"
)

// breach is a policy that fails the run, with all the findings that make it do so, first found first.
type breach struct {
	policy   judge.PolicyResult
	findings []judge.Finding
}

// breaches lists the policies that fail the run, in the order in which they were first broken.
func (r Report) breaches() []breach {
	var list []breach
	place := map[string]int{}
	for _, f := range r.Result.Findings {
		if f.Severity != judge.Error || f.Accepted != "" {
			continue
		}
		i, ok := place[f.Policy]
		if !ok {
			i = len(list)
			place[f.Policy] = i
			list = append(list, breach{policy: r.policy(f.Policy)})
		}
		list[i].findings = append(list[i].findings, f)
	}
	return list
}

// policy returns what became of the policy; for one that the result does not list, only its id.
func (r Report) policy(id string) judge.PolicyResult {
	for _, p := range r.Result.Policies {
		if p.ID == id {
			return p
		}
	}
	return judge.PolicyResult{ID: id}
}

// warnings lists the findings that are reported and leave the verdict alone.
func (r Report) warnings() []judge.Finding {
	return r.findings(func(f judge.Finding) bool { return f.Severity != judge.Error && f.Accepted == "" })
}

// accepted lists the findings that the scenario's exceptions accept.
func (r Report) accepted() []judge.Finding {
	return r.findings(func(f judge.Finding) bool { return f.Accepted != "" })
}

func (r Report) findings(want func(judge.Finding) bool) []judge.Finding {
	var list []judge.Finding
	for _, f := range r.Result.Findings {
		if want(f) {
			list = append(list, f)
		}
	}
	return list
}

// outcomes lists the policies with that outcome.
func (r Report) outcomes(o judge.Outcome) []judge.PolicyResult {
	var list []judge.PolicyResult
	for _, p := range r.Result.Policies {
		if p.Outcome == o {
			list = append(list, p)
		}
	}
	return list
}

// telling lists the ops that say what happened: the leaves of the plan, and a parent that went wrong although nothing in it
// did. A parent that only repeats the failure of its child is left out.
func (r Report) telling() []Op {
	var list []Op
	for i, op := range r.Ops {
		inside := r.inside(i)
		if len(inside) == 0 || op.broke() && !anyBroke(inside) {
			list = append(list, op)
		}
	}
	return list
}

// inside returns the ops below op i in the tree: those that follow it and are deeper.
func (r Report) inside(i int) []Op {
	end := i + 1
	for end < len(r.Ops) && r.Ops[end].Depth > r.Ops[i].Depth {
		end++
	}
	return r.Ops[i+1 : end]
}

func (o Op) broke() bool { return o.State == Failed || o.State == Errored }

func anyBroke(ops []Op) bool {
	for _, op := range ops {
		if op.broke() {
			return true
		}
	}
	return false
}

// untouched tells that the run was over before its first op.
func (r Report) untouched() bool {
	for _, op := range r.Ops {
		if op.State != Pending {
			return false
		}
	}
	return len(r.Ops) > 0
}

// took returns how long the run was.
func (r Report) took() time.Duration { return max(0, r.Ended.Sub(r.Started)) }

func (o Op) took() time.Duration { return time.Duration(o.Seconds * float64(time.Second)) }

// opSince says when an op went wrong, counted from the start of the run.
func (r Report) opSince(o Op) string {
	if o.From == nil {
		return ""
	}
	return fmt.Sprintf("%s after the start, for %s", span(o.From.Sub(r.Started)), span(o.took()))
}

// since says when the finding held, counted from the start of the run.
func (r Report) since(f judge.Finding) string {
	if f.Scope == judge.ScopePlan {
		return "in the plan, before the first operation"
	}
	if f.From == nil {
		return "over the whole run"
	}
	when := span(f.From.Sub(r.Started)) + " after the start"
	switch {
	case f.To != nil && f.To.After(*f.From):
		when += ", for " + span(f.To.Sub(*f.From))
	case !f.Open:
		when += ", for a moment"
	}
	if f.Open {
		when += ", still so when the steps ended"
	}
	if f.Op != "" {
		when += ", during " + f.Op
	}
	return when
}

// evidence says where a reader finds what the finding is made from.
func (r Report) evidence(f judge.Finding) string {
	return filepath.Join(r.Folder, evidenceFile(f)) + evidenceEvents(f)
}

func evidenceFile(f judge.Finding) string {
	if f.Scope == judge.ScopePlan {
		return planFile
	}
	return traceFile
}

func evidenceEvents(f judge.Finding) string {
	switch {
	case f.FromSeq == 0:
		return ""
	case f.ToSeq <= f.FromSeq:
		return fmt.Sprintf(", event %d", f.FromSeq)
	default:
		return fmt.Sprintf(", events %d to %d", f.FromSeq, f.ToSeq)
	}
}

// unexplained tells that neither an op nor a policy says why the verdict is what it is: the run itself went wrong.
func (r Report) unexplained() bool {
	return r.Verdict != scenario.Passed && !anyBroke(r.Ops) && len(r.breaches()) == 0 && len(r.outcomes(judge.Unknown)) == 0
}
