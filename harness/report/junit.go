package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/scenario"
)

// The JUnit XML of Apache Ant, as https://github.com/windyroad/JUnit-Schema/blob/master/JUnit.xsd describes it, which
// Jenkins, GitLab and GitHub's actions read. There is no standard beyond it; what it calls required is always written.

type junitSuites struct {
	XMLName xml.Name   `xml:"testsuites"`
	Suite   junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Package    string          `xml:"package,attr"`
	ID         int             `xml:"id,attr"`
	Hostname   string          `xml:"hostname,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
	SystemOut  junitText       `xml:"system-out"`
	SystemErr  junitText       `xml:"system-err"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

// junitCase has at most one of Failure, Error and Skipped.
type junitCase struct {
	Name      string       `xml:"name,attr"`
	Classname string       `xml:"classname,attr"`
	Time      string       `xml:"time,attr"`
	Failure   *junitResult `xml:"failure"`
	Error     *junitResult `xml:"error"`
	Skipped   *junitResult `xml:"skipped"`
}

type junitResult struct {
	Message string `xml:"message,attr,omitempty"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",cdata"`
}

type junitText struct {
	Text string `xml:",cdata"`
}

// JUnit writes the report as JUnit XML: one suite for the run, one case for each operation at the end of the plan's tree and one
// for each policy. What could not be told is an error, never a pass; when neither an operation nor a policy says why the run did not
// pass, a case of its own does.
func JUnit(w io.Writer, r Report) error {
	suite := junitSuite{
		Name:       xmlText(r.Scenario),
		Package:    "seatrial",
		Hostname:   "localhost", // what the schema asks for when the host says nothing
		Timestamp:  r.Started.UTC().Format("2006-01-02T15:04:05"),
		Time:       junitSeconds(r.took()),
		Properties: junitProperties(r),
		SystemOut:  junitText{xmlText(junitRemarks(r))},
	}
	for _, op := range r.telling() {
		suite.add(junitOp(r, op))
	}
	for _, p := range r.Result.Policies {
		suite.add(junitPolicy(r, p))
	}
	if r.unexplained() {
		suite.add(junitVerdict(r))
	}
	return writeXML(w, r.Run, junitSuites{Suite: suite})
}

func writeXML(w io.Writer, run string, doc junitSuites) error {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	enc := xml.NewEncoder(&b)
	enc.Indent("", "  ")
	err := enc.Encode(doc)
	if err == nil {
		b.WriteByte('\n')
		_, err = w.Write(b.Bytes())
	}
	if err != nil {
		return fmt.Errorf("write JUnit report of run %q: %w", run, err)
	}
	return nil
}

// add appends the case and counts it.
func (s *junitSuite) add(c junitCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
}

func junitProperties(r Report) []junitProperty {
	list := []junitProperty{
		{"run", r.Run},
		{"verdict", string(r.Verdict)},
		{"provider", r.Provider},
		{"kubernetesVersion", r.Version},
		{"folder", r.Folder},
		{"reproduce", r.Reproduce},
	}
	for _, s := range r.Settings {
		list = append(list, junitProperty{"setting", s})
	}
	for i := range list {
		list[i].Value = xmlText(list[i].Value)
	}
	return list
}

func junitOp(r Report, op Op) junitCase {
	c := junitCase{Name: xmlText(op.ID), Classname: xmlText(r.Scenario + ".operations"), Time: junitSeconds(op.took())}
	switch op.State {
	case Done:
	case Failed:
		c.Failure = junitOpResult(r, op)
	case Skipped:
		c.Skipped = &junitResult{Message: xmlText(op.Error)}
	case Pending:
		c.Skipped = &junitResult{Message: "the run did not come to it"}
	default: // Errored, and any state that this version does not know
		c.Error = junitOpResult(r, op)
	}
	return c
}

func junitOpResult(r Report, op Op) *junitResult {
	text := op.Title + "\n" + op.Error + "\n"
	for _, b := range op.Blockers {
		text += "held by " + blocker(b) + "\n"
	}
	if since := r.opSince(op); since != "" {
		text += "since: " + since + "\n"
	}
	if op.Log != "" {
		text += "evidence: " + op.Log + "\n"
	}
	return &junitResult{Message: xmlText(op.Error), Type: "operation", Text: xmlText(text)}
}

func junitPolicy(r Report, p judge.PolicyResult) junitCase {
	c := junitCase{Name: xmlText(p.ID), Classname: xmlText(r.Scenario + ".policies"), Time: junitSeconds(0)}
	switch p.Outcome {
	case judge.Held:
	case judge.NotApplied:
		c.Skipped = &junitResult{Message: xmlText(p.Reason)}
	case judge.Broken:
		if p.Severity != judge.Warning { // warnings are in system-out
			c.Failure = junitBreach(r, p)
		}
	default: // Unknown, and any outcome that this version does not know
		c.Error = &junitResult{Message: xmlText(p.Reason), Type: "policy", Text: xmlText(p.Title + "\n" + p.Reason + "\n")}
	}
	return c
}

func junitBreach(r Report, p judge.PolicyResult) *junitResult {
	result := &junitResult{Message: xmlText(p.Title), Type: "policy"}
	for _, b := range r.breaches() {
		if b.policy.ID != p.ID {
			continue
		}
		result.Message = xmlText(b.findings[0].Message)
		for _, f := range b.findings {
			result.Text += xmlText(fmt.Sprintf("%s: %s\n  since: %s\n  evidence: %s\n", f.Subject, f.Message, r.since(f), r.evidence(f)))
			if f.Change != "" {
				result.Text += xmlText("  change: " + f.Change + "\n")
			}
		}
	}
	if p.Remedy != "" {
		result.Text += xmlText("change: " + p.Remedy + "\n")
	}
	return result
}

// junitVerdict is the case of a run that went wrong outside its operations and policies.
func junitVerdict(r Report) junitCase {
	c := junitCase{Name: "verdict", Classname: xmlText(r.Scenario), Time: junitSeconds(0)}
	result := &junitResult{Message: xmlText(r.Reason), Type: "run", Text: xmlText(r.Reason)}
	switch r.Verdict {
	case scenario.Failed:
		c.Failure = result
	case scenario.Skipped:
		c.Skipped = &junitResult{Message: xmlText(r.Reason)}
	default:
		c.Error = result
	}
	return c
}

// junitRemarks lists what a reader should know although it fails nothing.
func junitRemarks(r Report) string {
	var b strings.Builder
	for _, f := range r.warnings() {
		fmt.Fprintf(&b, "warning: %s %s: %s\n", f.Policy, f.Subject, f.Message)
	}
	for _, f := range r.accepted() {
		fmt.Fprintf(&b, "accepted: %s %s: %s (%s)\n", f.Policy, f.Subject, f.Message, f.Accepted)
	}
	return b.String()
}

func junitSeconds(d time.Duration) string { return fmt.Sprintf("%.3f", max(0, d.Seconds())) }

// xmlText removes what XML 1.0 can't hold (https://www.w3.org/TR/xml/#charsets) and the control characters that it can, but for
// line breaks and tabs.
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case r < 0x20, r >= 0x7f && r < 0xa0, r == 0xfffe, r == 0xffff:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}
