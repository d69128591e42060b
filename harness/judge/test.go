package judge

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestReport is what the tests of a library's policies came to.
type TestReport struct {
	// Tests are ordered by where they stand.
	Tests []TestResult `json:"tests"`
	// Uncovered lists the lines of policies that no test reaches, as file:row, in order. A policy without tests is uncovered as a whole.
	Uncovered []string `json:"uncovered"`
	// Coverage is the share of lines that tests reach, in percent.
	Coverage float64 `json:"coverage"`
}

// TestResult is one test.
type TestResult struct {
	// Name is "group/name test_what".
	Name string `json:"name"`
	// At is file:row.
	At     string `json:"at"`
	Passed bool   `json:"passed"`
	// Output is what the test printed, and its error.
	Output string `json:"output,omitempty"`
}

// Passed tells whether there are tests, all passed, and no line is uncovered.
func (r TestReport) Passed() bool {
	failed := slices.ContainsFunc(r.Tests, func(t TestResult) bool { return !t.Passed })
	return len(r.Tests) > 0 && !failed && len(r.Uncovered) == 0
}

// Test runs the policies' own tests in the sandbox in which they judge. The error is a [*PolicyError] when a test does not compile.
func (l *Library) Test(ctx context.Context) (TestReport, error) {
	modules := copies(l.modules)
	maps.Copy(modules, copies(l.tests))
	allowed, _ := sandbox()
	covered := cover.New()
	store := inmem.New()
	txn, err := store.NewTransaction(ctx, storage.TransactionParams{})
	if err != nil {
		return TestReport{}, fmt.Errorf("test policies: %w", err)
	}
	defer store.Abort(ctx, txn)
	runner := tester.NewRunner().
		SetCompiler(ast.NewCompiler().WithCapabilities(allowed).WithEnablePrintStatements(true)).
		SetStore(store).SetModules(modules).SetParallel(1).CapturePrintOutput(true).RaiseBuiltinErrors(true).
		SetCoverageQueryTracer(covered).SetTimeout(l.Deadline)
	results, err := runner.RunTests(ctx, txn)
	if err != nil {
		ld := &loader{}
		ld.regoErrors("", err)
		return TestReport{}, ld.problems.err()
	}
	report := TestReport{Tests: []TestResult{}, Uncovered: []string{}}
	for r := range results {
		if r != nil {
			report.Tests = append(report.Tests, testResult(r))
		}
	}
	slices.SortFunc(report.Tests, func(a, b TestResult) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.At, b.At)) })
	report.cover(covered.Report(copies(l.modules)))
	return report, ctx.Err()
}

func testResult(r *tester.Result) TestResult {
	id := strings.TrimSuffix(strings.TrimPrefix(r.Package, "data.seatrial."), "_test")
	t := TestResult{Name: strings.ReplaceAll(id, ".", "/") + " " + r.Name, Passed: r.Pass(), Output: string(r.Output)}
	if r.Location != nil {
		t.At = fmt.Sprintf("%s:%d", r.Location.File, r.Location.Row)
	}
	if r.Error != nil {
		t.Output += r.Error.Error()
	}
	return t
}

func (r *TestReport) cover(c cover.Report) {
	r.Coverage = c.Coverage
	for _, file := range sortedKeys(c.Files) {
		for _, lines := range c.Files[file].NotCovered {
			for row := lines.Start.Row; row <= lines.End.Row; row++ {
				r.Uncovered = append(r.Uncovered, fmt.Sprintf("%s:%d", file, row))
			}
		}
	}
}
