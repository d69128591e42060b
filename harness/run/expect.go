package run

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/scenario"
)

// Unexpected lists what in a result is not as the scenario expects: the verdict, and exactly the findings of severity error that no exception accepts. A warning may be expected, and need not be.
func (rec *Recording) Unexpected(result judge.Result) []string {
	expect := rec.Scenario.Spec.Expect
	var problems []string
	if result.Verdict != expect.Verdict {
		problems = append(problems, fmt.Sprintf("verdict %s, expected %s: %s", result.Verdict, expect.Verdict, rec.Summary.Reason))
		problems = append(problems, undecided(result)...)
	}
	missing := slices.Clone(expect.Findings)
	for _, f := range result.Findings {
		if f.Accepted != "" {
			continue
		}
		expected := slices.ContainsFunc(expect.Findings, func(e scenario.ExpectedFinding) bool { return matches(e, f) })
		if !expected && f.Severity == judge.Error {
			problems = append(problems, fmt.Sprintf("unexpected finding %s on %s: %s", f.Policy, f.Subject, f.Message))
		}
		missing = slices.DeleteFunc(missing, func(e scenario.ExpectedFinding) bool { return matches(e, f) })
	}
	for _, e := range missing {
		problems = append(problems, fmt.Sprintf("expected a finding of %s on %s, and there is none", e.Policy, e.Subject))
	}
	return problems
}

// undecided lists the policies that could not tell.
func undecided(result judge.Result) []string {
	var all []string
	for _, p := range result.Policies {
		if p.Outcome == judge.Unknown {
			all = append(all, fmt.Sprintf("policy %s could not tell: %s", p.ID, p.Reason))
		}
	}
	return all
}

func matches(e scenario.ExpectedFinding, f judge.Finding) bool {
	ok, err := path.Match(e.Subject, f.Subject)
	return err == nil && ok && e.Policy == f.Policy && strings.Contains(f.Message, e.Message)
}
