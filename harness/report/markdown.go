package report

import (
	"fmt"
	"html"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/scenario"
)

// Bounds of a summary: GitHub takes 1 MiB for a job.
const (
	markdownRows = 200 // of each table or list
	markdownCell = 500 // characters
)

// Markdown writes a summary for the page of a CI job. All text that came from the scenario or the cluster is escaped: it can't
// add HTML, links, mentions or columns.
func Markdown(w io.Writer, r Report) error {
	d := &document{}
	d.verdict(r)
	d.broke(r)
	d.drills(r)
	d.rolls(r)
	d.operations(r)
	d.commands(r)
	d.policies(r)
	d.remarks("Warnings", "What", r.warnings(), func(f judge.Finding) string { return f.Message })
	d.remarks("Accepted exceptions", "Reason", r.accepted(), func(f judge.Finding) string { return f.Accepted })
	d.settings(r)
	d.further(r)
	if _, err := io.WriteString(w, d.String()); err != nil {
		return fmt.Errorf("write Markdown report of run %q: %w", r.Run, err)
	}
	return nil
}

// document collects Markdown. Its methods that take a format expect the arguments to be escaped.
type document struct{ strings.Builder }

func (d *document) line(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func (d *document) heading(title string) { d.line("\n### %s\n", title) }

func (d *document) verdict(r Report) {
	mark := "❌"
	switch r.Verdict {
	case scenario.Passed:
		mark = "✅"
	case scenario.Errored, scenario.Skipped:
		mark = "⚠️"
	}
	d.line("## %s %s: %s\n", mark, text(r.Scenario), text(string(r.Verdict)))
	if r.Description != "" {
		d.line("_%s_\n", text(r.Description))
	}
	if r.Reason != "" {
		d.line("**Reason:** %s\n", text(r.Reason))
	}
	d.line("Run %s on %s, Kubernetes %s, started %s, took %s.", code(r.Run), text(r.Provider), text(r.Version),
		r.Started.UTC().Format("2006-01-02 15:04:05 UTC"), span(r.took()))
	d.line("In all, %s.", text(r.tally()))
}

// broke says what kept the run from passing, everything about one thing together.
func (d *document) broke(r Report) {
	troubles := r.troubles()
	if r.Verdict == scenario.Passed || len(troubles) == 0 {
		return
	}
	d.heading("What broke")
	for i, t := range troubles {
		if i == markdownRows {
			d.line("- and %d more in %s", len(troubles)-i, jsonFile)
			break
		}
		d.line("- **%s**", text(t.headline))
		for _, f := range t.fields {
			d.field(f)
		}
	}
	d.findings(r)
}

func (d *document) field(f field) {
	switch {
	case f.stacked:
		for i, item := range f.items {
			if i == markdownRows {
				d.line("  - %s: %d more in %s", f.label, len(f.items)-i, jsonFile)
				break
			}
			d.line("  - %s: %s", f.label, text(item))
		}
	case f.whole:
		d.line("  - %s: %s", f.label, code(f.text))
	case f.text == "":
		d.line("  - %s: %s", f.label, codes(f.items))
	default:
		d.line("  - %s: %s", f.label, text(f.text))
	}
}

// findings lists every finding that fails the run, with its evidence.
func (d *document) findings(r Report) {
	var rows [][]string
	for _, b := range r.breaches() {
		for _, f := range b.findings {
			rows = append(rows, []string{code(f.Policy), code(f.Subject), text(f.Message), text(r.since(f)),
				code(evidenceFile(f)) + evidenceEvents(f)})
		}
	}
	d.table("Findings", []string{"Policy", "Subject", "What", "Since", "Evidence"}, rows)
}

func (d *document) operations(r Report) {
	var rows [][]string
	for _, op := range r.Ops {
		state := text(string(op.State))
		if op.broke() {
			state = "**" + state + "**"
		}
		rows = append(rows, []string{text(op.Number), code(op.ID), text(op.Title), state, opTook(op), text(op.Error)})
	}
	d.table("Operations", []string{"#", "Operation", "What", "State", "Took", "Error"}, rows)
}

// rolls lists in what order and how many waves the nodes of each roll could be drained.
func (d *document) rolls(r Report) {
	var rows [][]string
	for _, id := range slices.Sorted(maps.Keys(r.Result.Rolls)) {
		if one := r.Result.Rolls[id]; one.Possible && len(one.Nodes) > 1 {
			rows = append(rows, []string{code(id), fmt.Sprint(len(one.Nodes)), fmt.Sprint(one.Parallel), fmt.Sprint(one.Waves), text(strings.Join(one.Order, ", "))})
		}
	}
	d.table("Rolls that were found possible", []string{"Operation", "Nodes", "At a time", "Waves", "Order"}, rows)
}

// commands lists in the order of the plan what was executed on nodes, and what of kubectl's was done through the API, as a runbook does.
func (d *document) commands(r Report) {
	executed := map[string][]judge.Command{}
	for _, c := range r.Result.Commands {
		executed[c.Op] = append(executed[c.Op], c)
	}
	var rows [][]string
	row := func(number, where string, argv []string, took time.Duration, err string) {
		rows = append(rows, []string{text(number), where, code(strings.Join(argv, " ")), text(span(took)), text(err)})
	}
	for _, op := range r.Ops {
		if len(op.Command) > 0 && op.State != Pending && op.State != Skipped {
			row(op.Number, "API", op.Command, op.took(), op.Error)
		}
		for _, c := range executed[op.ID] {
			row(op.Number, code(c.Node), c.Argv, time.Duration(c.Seconds*float64(time.Second)), c.Error)
		}
	}
	d.table("Commands", []string{"#", "Where", "Command", "Took", "Error"}, rows)
}

func (d *document) drills(r Report) {
	for _, one := range r.Result.Drills {
		var rows [][]string
		for _, f := range figures(one) {
			rows = append(rows, []string{text(f.what), code(f.before), code(f.after)})
		}
		d.table(text(one.Restore)+" from "+text(one.Backup), []string{"", "Backup, and before", "After"}, rows)
	}
}

func opTook(op Op) string {
	if op.State == Pending || op.State == Skipped {
		return ""
	}
	return span(op.took())
}

func (d *document) policies(r Report) {
	var rows [][]string
	for _, p := range r.Result.Policies {
		outcome := text(outcomeWord(p))
		if outcome == string(judge.Broken) || outcome == string(judge.Unknown) {
			outcome = "**" + outcome + "**"
		}
		remark := p.Title
		if p.Reason != "" {
			remark = p.Reason
		}
		rows = append(rows, []string{code(p.ID), outcome, text(string(p.Severity)), fmt.Sprint(p.Subjects), text(remark)})
	}
	d.table("Policies", []string{"Policy", "Outcome", "Severity", "Subjects", "Remark"}, rows)
}

// remarks lists findings that leave the verdict alone.
func (d *document) remarks(title, column string, findings []judge.Finding, say func(judge.Finding) string) {
	var rows [][]string
	for _, f := range findings {
		rows = append(rows, []string{code(f.Policy), code(f.Subject), text(say(f))})
	}
	d.table(title, []string{"Policy", "Subject", column}, rows)
}

// table writes a heading and a table, or nothing when there are no rows. The cells are escaped already.
func (d *document) table(title string, columns []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	d.heading(title)
	d.line("| %s |", strings.Join(columns, " | "))
	d.line("|%s", strings.Repeat(" --- |", len(columns)))
	for i, cells := range rows {
		if i == markdownRows {
			d.line("\nand %d more in %s", len(rows)-i, jsonFile)
			return
		}
		d.line("| %s |", strings.Join(cells, " | "))
	}
}

func (d *document) settings(r Report) {
	var rows [][]string
	for _, s := range r.Settings {
		rows = append(rows, []string{text(s)})
	}
	d.table("Settings that differ from production", []string{"Setting"}, rows)
}

func (d *document) further(r Report) {
	d.heading("Evidence")
	d.line("In %s; the same again:\n", code(r.Folder))
	d.line("<pre>%s</pre>", html.EscapeString(printable(r.Reproduce)))
}

// markdownEscapes turns every character that means something in GitHub's Markdown into what only shows it. An entity can't
// start or end anything (https://spec.commonmark.org/0.31.2/#entity-and-numeric-character-references); an empty comment
// keeps GitHub from making mentions, references and links of what follows, and stays out of what a reader copies.
var markdownEscapes = strings.NewReplacer(
	"&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;",
	"|", "&#124;", `\`, "&#92;", "`", "&#96;", "*", "&#42;", "_", "&#95;", "~", "&#126;",
	"[", "&#91;", "]", "&#93;", "!", "&#33;", "$", "&#36;",
	"@", "@<!-- -->", "#", "#<!-- -->", "://", ":<!-- -->//", "www.", "www<!-- -->.",
)

// text escapes untrusted text for a place inside a line.
func text(s string) string { return markdownEscapes.Replace(shorten(printable(s), markdownCell)) }

// code shows a name or path as code.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "<code>" + text(s) + "</code>"
}

func codes(items []string) string {
	const most = 20
	var list []string
	for i, s := range items {
		if i == most {
			list = append(list, fmt.Sprintf("and %d more", len(items)-i))
			break
		}
		list = append(list, code(s))
	}
	return strings.Join(list, ", ")
}
