package report

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// Screen is what the terminal can show.
type Screen struct {
	// Width in columns; 0 means 100.
	Width int
	// Colour tells whether to use it.
	Colour bool
}

// How much fits on one screen.
const (
	defaultWidth = 100
	minWidth     = 40
	screenRows   = 24
	passedOps    = 12 // operations that a passed run lists
	blockerRows  = 3  // objects that hold up an operation
	remarkRows   = 3  // warnings and accepted exceptions, each
	labelWidth   = 11 // the column of "policy", "since", "evidence"
)

// Terminal writes what a person at a terminal needs to know on one screen. A run that did not pass explains itself in this
// order: what broke, the policy, since when, which objects, what to change, where the evidence is, and the command that
// does the same again. Text that came from the scenario or the cluster can't move the cursor or change colours.
func Terminal(w io.Writer, r Report, s Screen) error {
	if s.Width == 0 {
		s.Width = defaultWidth
	}
	s.Width = max(s.Width, minWidth)

	lines := s.head(r)
	foot := s.foot(r)
	if r.Verdict == scenario.Passed {
		lines = append(lines, s.passed(r)...)
	} else {
		lines = append(lines, s.troubles(r.troubles(), screenRows-len(lines)-len(foot))...)
	}
	lines = append(lines, foot...)
	if _, err := io.WriteString(w, strings.Join(lines, "\n")+"\n"); err != nil {
		return fmt.Errorf("write terminal report of run %q: %w", r.Run, err)
	}
	return nil
}

// head is the verdict and, in a sentence, its reason.
func (s Screen) head(r Report) []string {
	verdict := strings.ToUpper(printable(string(r.Verdict)))
	rest := fmt.Sprintf("  %s  %s, Kubernetes %s, run %s, took %s", printable(r.Scenario), printable(r.Provider),
		printable(r.Version), printable(r.Run), span(r.took()))
	lines := []string{s.paint(verdictColour(r.Verdict), verdict) + shorten(rest, s.Width-len(verdict))}
	rows := 2
	if r.unexplained() {
		rows = screenRows / 2 // the reason is all there is to say
	}
	if r.Reason != "" {
		lines = append(lines, wrap(printable(r.Reason), s.Width, rows)...)
	}
	if r.unexplained() {
		return lines
	}
	return append(lines, "")
}

// foot is the tally, what differs from production, and where to go from here.
func (s Screen) foot(r Report) []string {
	lines := []string{""}
	lines = append(lines, s.labelled(0, field{label: "in all", text: r.tally(), lines: 2})...)
	for _, one := range r.Result.Drills {
		lines = append(lines, s.labelled(0, field{label: "restored", text: drill(one), lines: 2})...)
	}
	for _, k := range r.Kept {
		lines = append(lines, s.labelled(0, field{label: "kept", text: k, whole: true})...)
	}
	if len(r.Settings) > 0 {
		lines = append(lines, s.labelled(0, field{label: "settings", text: strings.Join(r.Settings, "; ")})...)
	}
	lines = append(lines, s.labelled(0, field{label: "report", text: filepath.Join(r.Folder, markdownFile), whole: true})...)
	if r.Reproduce != "" {
		lines = append(lines, s.labelled(0, field{label: "reproduce", text: r.Reproduce, whole: true})...)
	}
	return lines
}

// passed lists the operations with what they took, and what a reader should know although all is well.
func (s Screen) passed(r Report) []string {
	var lines []string
	ops := r.Ops
	if len(ops) > passedOps {
		ops = top(ops)
	}
	shown := ops[:min(len(ops), passedOps)]
	for _, op := range shown {
		title := strings.Repeat("  ", op.Depth) + printable(op.Number) + " " + printable(op.Title)
		width := min(s.Width, defaultWidth) - len("  v ") - len("  1m 00s")
		lines = append(lines, fmt.Sprintf("  %s %-*s  %6s", s.paint(green, "✓"), width, shorten(title, width), opSpan(op)))
	}
	if more := len(r.Ops) - len(shown); more > 0 {
		lines = append(lines, s.paint(dim, fmt.Sprintf("    and %s", count(more, "more operation", "more operations"))))
	}
	lines = append(lines, s.remarks("warning", r.warnings(), func(f judge.Finding) string { return f.Message })...)
	return append(lines, s.remarks("accepted", r.accepted(), func(f judge.Finding) string { return f.Accepted })...)
}

// top lists the ops at the top of the tree.
func top(ops []Op) []Op {
	var list []Op
	for _, op := range ops {
		if op.Depth == 0 {
			list = append(list, op)
		}
	}
	return list
}

func opSpan(op Op) string {
	if op.State == Pending || op.State == Skipped {
		return string(op.State)
	}
	return span(op.took())
}

// remarks lists findings that leave the verdict alone, a line each.
func (s Screen) remarks(label string, findings []judge.Finding, text func(judge.Finding) string) []string {
	var lines []string
	for i, f := range findings {
		if i == remarkRows {
			more := field{label: label, text: fmt.Sprintf("and %d more", len(findings)-i)}
			return append(lines, s.labelled(2, more)...)
		}
		lines = append(lines, s.labelled(2, field{label: label, text: f.Policy + " " + f.Subject + ": " + text(f)})...)
	}
	return lines
}

// trouble is one thing that kept the run from passing.
type trouble struct {
	mark     string
	headline string
	// brief is the headline when there is one line only.
	brief  string
	fields []field
}

// field is a labelled remark about a trouble. Its text is untrusted.
type field struct {
	label string
	text  string
	// items are what there is when there is no text: names on one line, or, stacked, remarks that begin a line each.
	items   []string
	stacked bool
	// lines is how many the text may take; 0 means 1.
	lines int
	// whole tells to show all of it on one line, because it is there to be copied.
	whole bool
}

// troubles lists what kept the run from passing: the operations that did not finish, the policies that were broken, and then
// what could not be told.
func (r Report) troubles() []trouble {
	var list []trouble
	shown := map[string]bool{} // what procedure/completed says of an op is in the op's own trouble
	for _, op := range r.telling() {
		if op.broke() {
			list = append(list, r.opTrouble(op))
			shown["op/"+op.ID] = true
		}
	}
	for _, b := range r.breaches() {
		if !shown[b.findings[0].Subject] {
			list = append(list, r.breachTrouble(b))
		}
	}
	for _, p := range r.outcomes(judge.Unknown) {
		headline := "policy " + p.ID + " could not tell whether it holds"
		t := trouble{mark: "?", headline: headline, brief: headline}
		list = append(list, t.with("policy", p.Title, 1).with("why", p.Reason, 2))
	}
	return list
}

// with adds a field unless it has nothing to say.
func (t trouble) with(label, text string, lines int) trouble {
	if text != "" {
		t.fields = append(t.fields, field{label: label, text: text, lines: lines})
	}
	return t
}

func (r Report) opTrouble(op Op) trouble {
	t := trouble{mark: "✗", headline: fmt.Sprintf("operation %s (%s) failed: %s", op.Number, op.ID, op.Title)}
	if op.State == Errored {
		t.mark, t.headline = "?", fmt.Sprintf("operation %s (%s) broke off: %s", op.Number, op.ID, op.Title)
	}
	t.brief = t.headline
	t = t.with("why", op.Error, 3).with("since", r.opSince(op), 1)
	if len(op.Blockers) > 0 {
		held := field{label: "held by", stacked: true}
		for _, b := range op.Blockers {
			held.items = append(held.items, blocker(b))
		}
		t.fields = append(t.fields, held)
	}
	if op.Log != "" {
		t.fields = append(t.fields, field{label: "evidence", text: filepath.Join(r.Folder, op.Log), whole: true})
	}
	return t
}

// blocker says which object is in the way, which budget holds it, and why.
func blocker(b trace.Blocker) string {
	if b.Budget == "" {
		return b.Subject + ": " + b.Reason
	}
	return b.Subject + " under " + b.Budget + ": " + b.Reason
}

func (r Report) breachTrouble(b breach) trouble {
	first := b.findings[0]
	name := b.policy.ID
	if b.policy.Title != "" {
		name += ": " + b.policy.Title
	}
	sentence := first.Subject + " " + first.Message // a message is what is said of its subject
	t := trouble{mark: "✗", headline: sentence, brief: b.policy.ID + ": " + sentence}
	t = t.with("policy", name, 1).with("since", r.since(first), 2)
	t.fields = append(t.fields, field{label: "objects", items: subjects(b.findings)})
	t = t.with("change", cmp.Or(first.Change, b.policy.Remedy), 3)
	t.fields = append(t.fields, field{label: "evidence", text: r.evidence(first), whole: true})
	return t
}

// subjects lists what the findings are about, made printable, each once, in the order of the findings.
func subjects(findings []judge.Finding) []string {
	var list []string
	seen := map[string]bool{}
	for _, f := range findings {
		if !seen[f.Subject] {
			seen[f.Subject] = true
			list = append(list, printable(f.Subject))
		}
	}
	return list
}

// troubles shows the first in full, further ones in full while there is room in rows lines, then in a line each, and says how
// many are left out.
func (s Screen) troubles(list []trouble, rows int) []string {
	var lines []string
	for i, t := range list {
		full, left, after := s.full(t), rows-len(lines), len(list)-i-1
		switch {
		case i == 0 || len(full)+min(after, remarkRows) <= left:
			lines = append(lines, full...)
		case left > 1 || left == 1 && after == 0:
			lines = append(lines, s.headline(t.mark, t.brief, 1)...)
		default:
			return append(lines, s.paint(dim, fmt.Sprintf("  and %d more in the report", after+1)))
		}
	}
	return lines
}

func (s Screen) full(t trouble) []string {
	lines := s.headline(t.mark, t.headline, 2)
	for _, f := range t.fields {
		lines = append(lines, s.labelled(2, f)...)
	}
	return lines
}

func (s Screen) headline(mark, text string, rows int) []string {
	lines := wrap(printable(text), s.Width-2, rows)
	for i, line := range lines {
		if i == 0 {
			lines[i] = s.paint(red, mark) + " " + s.paint(bold, line)
		} else {
			lines[i] = "  " + s.paint(bold, line)
		}
	}
	return lines
}

// labelled shows a field with its label in a column of its own.
func (s Screen) labelled(indent int, f field) []string {
	width := s.Width - indent - labelWidth
	var lines []string
	switch {
	case f.whole:
		lines = []string{printable(f.text)}
	case f.stacked:
		lines = stack(f.items, width)
	case f.text == "":
		lines = []string{listing(f.items, width)}
	default:
		lines = wrap(printable(f.text), width, max(1, f.lines))
	}
	for i, line := range lines {
		label := ""
		if i == 0 {
			label = f.label
		}
		lines[i] = strings.Repeat(" ", indent) + s.paint(dim, fmt.Sprintf("%-*s", labelWidth, label)) + line
	}
	return lines
}

// stack begins a line with each item, and says how many are left out.
func stack(items []string, width int) []string {
	var lines []string
	for i, item := range items {
		if i == blockerRows {
			return append(lines, fmt.Sprintf("and %d more", len(items)-i))
		}
		lines = append(lines, wrap(printable(item), width, 2)...)
	}
	return lines
}

// tally counts the operations and the policies by what became of them.
func (r Report) tally() string {
	ops := map[State]int{}
	for _, op := range r.telling() {
		ops[op.State]++
	}
	var parts []string
	for _, st := range []State{Done, Failed, Errored, Skipped, Pending} {
		if ops[st] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", ops[st], st))
		}
	}
	text := "operations: none planned"
	if r.untouched() {
		text = fmt.Sprintf("operations: none of %d begun", len(r.telling()))
	} else if len(parts) > 0 {
		text = "operations: " + strings.Join(parts, ", ")
	}

	if policies := r.policyTally(); policies != "" {
		text += "; policies: " + policies
	}
	if n := len(r.accepted()); n > 0 {
		text += "; " + count(n, "accepted exception", "accepted exceptions")
	}
	return text
}

func (r Report) policyTally() string {
	words := map[string]int{}
	for _, p := range r.Result.Policies {
		words[outcomeWord(p)]++
	}
	var parts []string
	for _, word := range []string{"held", "broken", "unknown", "warned", "not applied"} {
		if words[word] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", words[word], word))
		}
	}
	return strings.Join(parts, ", ")
}

// outcomeWord names a policy's outcome. A policy whose findings are warnings does not fail a run, so it is not called broken.
func outcomeWord(p judge.PolicyResult) string {
	switch {
	case p.Outcome == judge.NotApplied:
		return "not applied"
	case p.Outcome == judge.Broken && p.Severity == judge.Warning:
		return "warned"
	default:
		return string(p.Outcome)
	}
}

// The colours of a terminal, as parameters of the ANSI sequence SGR.
const (
	bold   = "1"
	dim    = "2"
	red    = "1;31"
	green  = "1;32"
	yellow = "1;33"
)

func verdictColour(v scenario.Verdict) string {
	switch v {
	case scenario.Passed:
		return green
	case scenario.Failed:
		return red
	default:
		return yellow
	}
}

// paint colours text that has no control characters.
func (s Screen) paint(colour, text string) string {
	if !s.Colour || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
