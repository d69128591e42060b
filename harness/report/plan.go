package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/plan"
)

// Plan writes a plan for a person: its numbered tree of operations, and what the plan policies say of it.
func Plan(w io.Writer, p *plan.Plan, result judge.Result) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s, on %s\n\n", printable(p.Scenario), printable(p.Provider))
	width := 0
	p.Walk(func(op *plan.Op, _ int) { width = max(width, len(op.ID)) })
	p.Walk(func(op *plan.Op, depth int) {
		fmt.Fprintf(&out, "%s%-6s %-*s  %s\n", strings.Repeat("  ", depth), op.Number, width, op.ID, printable(op.Title))
	})
	out.WriteString("\n")
	for _, f := range result.Findings {
		state := string(f.Severity)
		if f.Accepted != "" {
			state = "accepted (" + printable(f.Accepted) + ")"
		}
		fmt.Fprintf(&out, "%s: %s: %s: %s\n", state, printable(f.Policy), printable(f.Subject), printable(f.Message))
		if f.Change != "" {
			fmt.Fprintf(&out, "  what to change: %s\n", printable(f.Change))
		}
	}
	for _, policy := range result.Policies {
		if policy.Outcome == judge.Unknown {
			fmt.Fprintf(&out, "unknown: %s: %s\n", printable(policy.ID), printable(policy.Reason))
		}
		if policy.Outcome == judge.Broken && policy.Remedy != "" {
			fmt.Fprintf(&out, "what to change (%s): %s\n", printable(policy.ID), printable(policy.Remedy))
		}
	}
	fmt.Fprintf(&out, "plan policies: %s\n", result.Verdict)
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}
