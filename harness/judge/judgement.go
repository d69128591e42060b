package judge

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/roll"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/world"
)

// judgement is one judging under way.
type judgement struct {
	*evaluator
	of      *plan.Plan
	plan    ast.Value // the same as Rego sees it
	except  []scenario.Exception
	tallies []*tally // in the order of the library's policies
	reasons []string
	rolls   map[string]roll.Planned // that the plan has; nil as long as nobody asked
}

// Check finds what a scenario says about policies that this library does not have: unknown ids and parameters, values of another
// kind, malformed patterns. The error is a [*PolicyError].
func (l *Library) Check(says scenario.Policies) error {
	_, err := l.parameters(says)
	return err
}

// parameters returns the parameters of every policy, by id.
func (l *Library) parameters(says scenario.Policies) (map[string]map[string]any, error) {
	var ps problems
	for _, id := range sortedKeys(says.Params) {
		if l.Policy(id) == nil {
			ps.add("", 0, 0, "policies.params: there is no policy %q", id)
		}
	}
	for _, e := range says.Except {
		if l.Policy(e.ID) == nil {
			ps.add("", 0, 0, "policies.except: there is no policy %q", e.ID)
		}
		if _, err := path.Match(e.Subject, ""); err != nil {
			ps.add("", 0, 0, "policies.except: subject %q of policy %q is no pattern: %v", e.Subject, e.ID, err)
		}
	}
	all := map[string]map[string]any{}
	for _, p := range l.policies {
		all[p.ID] = p.parameters(says.Params[p.ID], &ps)
	}
	return all, ps.err()
}

// begin makes ready to judge by the policies of some scopes.
func (l *Library) begin(p *plan.Plan, says scenario.Policies, scopes ...Scope) (*judgement, error) {
	params, err := l.parameters(says)
	if err != nil {
		return nil, err
	}
	paramsValue, err := jsonValue(params)
	if err != nil {
		return nil, err
	}
	planValue, err := jsonValue(p)
	if err != nil {
		return nil, err
	}
	j := &judgement{evaluator: newEvaluator(l, &document{params: paramsValue}), of: p, plan: planValue, except: says.Except}
	for _, policy := range l.policies {
		if slices.Contains(scopes, policy.Scope) {
			j.tallies = append(j.tallies, &tally{
				policy: policy, subjects: map[string]bool{}, open: map[string]*Finding{}, notApplied: notApplied(policy, p),
			})
		}
	}
	return j, nil
}

// notApplied says why a policy has nothing to say about a plan, or "".
func notApplied(p *Policy, in *plan.Plan) string {
	if len(p.Needs) == 0 {
		return ""
	}
	for _, need := range p.Needs {
		if slices.Contains(in.Uses, need) {
			return ""
		}
	}
	return "the plan has no " + strings.Join(p.Needs, " and no ")
}

// awake lists the policies of a scope that can still be evaluated.
func (j *judgement) awake(scope Scope) []*tally {
	var awake []*tally
	for _, t := range j.tallies {
		if t.policy.Scope == scope && !t.asleep() {
			awake = append(awake, t)
		}
	}
	return awake
}

// judgeOnce evaluates the policies of scope plan or run, each over the whole.
func (j *judgement) judgeOnce(ctx context.Context, scope Scope, input ast.Value, whole span, opAt func(int64) string) error {
	j.doc.moment()
	for _, t := range j.awake(scope) {
		answers, err := j.evaluate(ctx, []*Policy{t.policy}, input)
		if err != nil {
			return err
		}
		t.once(answers[0], whole, opAt)
	}
	return nil
}

// judgePlan evaluates the policies of scope plan over the world that the document holds.
func (j *judgement) judgePlan(ctx context.Context) error {
	rolls, err := roll.Of(j.of, j.doc.World)
	if err != nil {
		return err
	}
	j.rolls = rolls
	rollsValue, err := jsonValue(rolls)
	if err != nil {
		return err
	}
	return j.judgeOnce(ctx, ScopePlan, object("plan", ast.NewTerm(j.plan), "rolls", ast.NewTerm(rollsValue), "params", noParams).Value, span{}, nil)
}

// Plan judges a plan by the policies of scope plan, over the world that it was made from. A finding of severity error that no exception accepts makes
// the verdict Failed: such a plan is not to be performed.
func (l *Library) Plan(ctx context.Context, p *plan.Plan, from *world.World, says scenario.Policies) (Result, error) {
	j, err := l.begin(p, says, ScopePlan)
	if err != nil {
		return Result{}, err
	}
	j.doc.World = from
	if err := j.judgePlan(ctx); err != nil {
		return Result{}, fmt.Errorf("judge plan: %w", err)
	}
	return j.result(), nil
}

// result draws the conclusion.
func (j *judgement) result() Result {
	r := Result{Reasons: j.reasons, Policies: []PolicyResult{}, Findings: []Finding{}, Rolls: j.rolls, UnusedExceptions: j.accept()}
	failed, unknown := false, len(j.reasons) > 0
	for _, t := range j.tallies {
		pr := t.result()
		r.Policies = append(r.Policies, pr)
		failed = failed || pr.Outcome == Broken && pr.Severity == Error
		unknown = unknown || pr.Outcome == Unknown
		for _, f := range t.findings {
			r.Findings = append(r.Findings, *f)
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.FromSeq, b.FromSeq), cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Message, b.Message))
	})
	switch {
	case failed:
		r.Verdict = scenario.Failed
	case unknown:
		r.Verdict = scenario.Errored
	default:
		r.Verdict = scenario.Passed
	}
	return r
}

// accept marks the findings that an exception accepts and returns the exceptions of evaluated policies that accepted nothing.
func (j *judgement) accept() (unused []scenario.Exception) {
	for _, e := range j.except {
		evaluated, used := false, false
		for _, t := range j.tallies {
			if t.policy.ID != e.ID {
				continue
			}
			evaluated = t.notApplied == ""
			for _, f := range t.findings {
				if matched, err := path.Match(e.Subject, f.Subject); err == nil && matched {
					f.Accepted = cmp.Or(f.Accepted, e.Reason)
					used = true
				}
			}
		}
		if evaluated && !used {
			unused = append(unused, e)
		}
	}
	return unused
}
