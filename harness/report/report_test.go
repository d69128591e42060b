package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seatrial/seatrial/harness/scenario"
)

var update = flag.Bool("update", false, "write the goldens anew")

// TestGolden compares every format of every fixture with testdata/<fixture>/<file>.
func TestGolden(t *testing.T) {
	for name, fixture := range fixtures {
		for _, f := range Formats {
			t.Run(name+"/"+f.Name, func(t *testing.T) {
				file := f.File
				if file == "" {
					file = f.Name + ".txt"
				}
				golden(t, filepath.Join("testdata", name, file), render(t, f, fixture()))
			})
		}
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func render(t testing.TB, f Format, r Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.Render(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTerminalFitsOneScreen(t *testing.T) {
	for name, fixture := range fixtures {
		if name == "hostile" { // its paths are there to be copied and can't be cut
			continue
		}
		lines := strings.Split(strings.TrimSuffix(terminal(t, fixture(), Screen{}), "\n"), "\n")
		if len(lines) > screenRows {
			t.Errorf("%s: %d lines, at most %d fit", name, len(lines), screenRows)
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > defaultWidth {
				t.Errorf("%s: %d columns, at most %d fit: %s", name, n, defaultWidth, line)
			}
		}
	}
}

// TestTerminalOrder holds a failure to the order in which people read it.
func TestTerminalOrder(t *testing.T) {
	out := terminal(t, failedPolicy(), Screen{})
	at := 0
	for _, want := range []string{
		"FAILED", "did not answer for 12.4s", "availability/service_outage: Services keep answering",
		"14.2s after the start, for 12.4s, during drain/worker-1/drain", "service/production/web", "Give the workload a PodDisruptionBudget",
		"trace.jsonl, events 301 to 377", "seatrial run scenarios/known-bad/no-budget",
	} {
		i := strings.Index(out[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing or comes too early in:\n%s", want, out)
		}
		at += i + len(want)
	}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;]+m")

func TestTerminalColourOnlyColours(t *testing.T) {
	for name, fixture := range fixtures {
		plain, coloured := terminal(t, fixture(), Screen{}), terminal(t, fixture(), Screen{Colour: true})
		if coloured == plain {
			t.Errorf("%s: no colour", name)
		}
		if diff := cmp.Diff(plain, sgr.ReplaceAllString(coloured, "")); diff != "" {
			t.Errorf("%s: colour changes the text (-plain +coloured):\n%s", name, diff)
		}
		for _, line := range strings.Split(coloured, "\n") {
			if strings.Count(line, "\x1b[0m")*2 != len(sgr.FindAllString(line, -1)) {
				t.Errorf("%s: a colour is left on: %q", name, line)
			}
		}
	}
}

func TestTerminalNarrow(t *testing.T) {
	for _, width := range []int{-1, 1, 40, 60} {
		for name, fixture := range fixtures {
			if out := terminal(t, fixture(), Screen{Width: width}); out == "" {
				t.Errorf("%s at width %d: nothing", name, width)
			}
		}
	}
}

func terminal(t testing.TB, r Report, s Screen) string {
	t.Helper()
	var b bytes.Buffer
	if err := Terminal(&b, r, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestJSONRoundTrip(t *testing.T) {
	for name, fixture := range fixtures {
		if name == "hostile" || name == "errored-early" { // broken UTF-8 is replaced, lists that are nil become empty
			continue
		}
		want := fixture()
		var got Report
		if err := json.Unmarshal([]byte(render(t, mustLookup(t, "json"), want)), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestJUnitAgreesWithVerdict reads the XML back: its counts are those of its cases, and it is green only when the run passed.
func TestJUnitAgreesWithVerdict(t *testing.T) {
	for name, fixture := range fixtures {
		r := fixture()
		suite := parseJUnit(t, render(t, mustLookup(t, "junit"), r))
		var counted junitSuite
		names := map[string]bool{}
		for _, c := range suite.Cases {
			counted.add(c)
			names[c.Classname+c.Name] = true
		}
		got := []int{suite.Tests, suite.Failures, suite.Errors, suite.Skipped}
		want := []int{counted.Tests, counted.Failures, counted.Errors, counted.Skipped}
		if !slices.Equal(got, want) {
			t.Errorf("%s: tests, failures, errors, skipped are %v, the cases say %v", name, got, want)
		}
		if name != "hostile" && len(names) != len(suite.Cases) {
			t.Errorf("%s: two cases have one name", name)
		}
		if green := suite.Failures+suite.Errors == 0; green != (r.Verdict == scenario.Passed) {
			t.Errorf("%s: verdict %s, %d failures, %d errors", name, r.Verdict, suite.Failures, suite.Errors)
		}
	}
}

// TestJUnitUnknownIsNoPass gives states and outcomes that this version does not know.
func TestJUnitUnknownIsNoPass(t *testing.T) {
	r := passed()
	r.Ops[0].State, r.Result.Policies[0].Outcome = "paused", "maybe"
	if suite := parseJUnit(t, render(t, mustLookup(t, "junit"), r)); suite.Errors != 2 {
		t.Errorf("%d errors, want 2", suite.Errors)
	}
}

func parseJUnit(t testing.TB, doc string) junitSuite {
	t.Helper()
	var suites junitSuites
	if err := xml.Unmarshal([]byte(doc), &suites); err != nil {
		t.Fatalf("%v in:\n%s", err, doc)
	}
	return suites.Suite
}

// TestParentFailsAlone: a parent that failed although its children did not is told in every format.
func TestParentFailsAlone(t *testing.T) {
	r := passed()
	r.Verdict = scenario.Failed
	r.Ops[2].State, r.Ops[2].Error = Failed, "the window closed"
	for _, f := range Formats {
		if out := render(t, f, r); !strings.Contains(out, "the window closed") {
			t.Errorf("%s does not say why:\n%s", f.Name, out)
		}
	}
}

// FuzzHostile puts any text into every place of a report that others can fill.
func FuzzHostile(f *testing.F) {
	f.Add(hostileText)
	f.Add("")
	f.Add("- x")
	f.Add("\u2028\u0085\ufeff\ufffe")
	f.Fuzz(func(t *testing.T, s string) {
		r := hostile(s)
		for _, width := range []int{minWidth, defaultWidth} {
			checkTerminal(t, terminal(t, r, Screen{Width: width}))
		}
		suite := parseJUnit(t, render(t, mustLookup(t, "junit"), r))
		if suite.Failures == 0 || suite.Errors == 0 {
			t.Errorf("%d failures, %d errors", suite.Failures, suite.Errors)
		}
		checkMarkdown(t, render(t, mustLookup(t, "markdown"), r))
		if out := render(t, mustLookup(t, "json"), r); !json.Valid([]byte(out)) {
			t.Errorf("invalid JSON:\n%s", out)
		}
	})
}

func checkTerminal(t *testing.T, out string) {
	t.Helper()
	for _, c := range out {
		if c != '\n' && !unicode.IsPrint(c) {
			t.Errorf("unprintable %q in:\n%q", c, out)
			return
		}
	}
}

var (
	ourTags     = regexp.MustCompile(`</?code>|<!-- -->`)
	ownEmphasis = regexp.MustCompile(`(?m)^_|_$|^- \*\*|\*\*$|^\*\*Reason:\*\*|\| \*\*(failed|errored|broken|unknown)\*\*`)
)

// checkMarkdown looks for what would get through: tags that are not ours, rows with a column too many, lines that begin a block.
func checkMarkdown(t *testing.T, out string) {
	t.Helper()
	rest, pre, _ := strings.Cut(out, "<pre>") // in which only HTML means something
	if rest = ourTags.ReplaceAllString(rest, ""); strings.ContainsAny(ownEmphasis.ReplaceAllString(rest, ""), "<>`[]*_") {
		t.Errorf("markup gets through:\n%.2000s", rest)
	}
	if strings.ContainsAny(strings.TrimSuffix(pre, "</pre>\n"), "<>") {
		t.Errorf("HTML gets through in %.2000q", pre)
	}
	columns := 0
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		if n := strings.Count(line, "|"); columns == 0 {
			columns = n
		} else if n != columns {
			t.Errorf("%d columns instead of %d: %s", n, columns, line)
		}
	}
}

func TestFormats(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Formats {
		if f.Name == "" || f.Doc == "" || f.Render == nil || seen[f.Name] || f.File != "" && seen[f.File] {
			t.Errorf("format %q is incomplete or there twice", f.Name)
		}
		seen[f.Name], seen[f.File] = true, true
		if err := f.Render(full{}, failedDrain()); !errors.Is(err, errFull) {
			t.Errorf("%s: a write that fails gives %v", f.Name, err)
		}
	}
	_, err := LookupFormat("pdf")
	if err == nil || !strings.Contains(err.Error(), "terminal, json, junit, markdown") {
		t.Errorf("unknown format: %v", err)
	}
}

func mustLookup(t testing.TB, name string) Format {
	t.Helper()
	f, err := LookupFormat(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestText(t *testing.T) {
	for in, want := range map[time.Duration]string{
		0: "0ms", 340 * time.Millisecond: "340ms", 999700 * time.Microsecond: "1.0s", 12400 * time.Millisecond: "12.4s",
		59960 * time.Millisecond: "1m 00s", 102 * time.Second: "1m 42s", 3599600 * time.Millisecond: "1h 00m", 125 * time.Minute: "2h 05m",
		-time.Second: "-1.0s",
	} {
		if got := span(in); got != want {
			t.Errorf("span(%d) is %q, want %q", in, got, want)
		}
	}
	if diff := cmp.Diff([]string{"one two", "threefo", "ur fiv…"}, wrap("one two threefour five six", 7, 3)); diff != "" {
		t.Errorf("wrap (-want +got):\n%s", diff)
	}
	if got, want := listing([]string{"pod/a", "pod/b", "pod/c", "pod/d"}, 30), "pod/a, pod/b, and 2 more"; got != want {
		t.Errorf("listing is %q, want %q", got, want)
	}
}
