package judge_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seatrial/seatrial/harness/judge"
)

var update = flag.Bool("update", false, "write docs/policies.md")

// policiesPage is docs/policies.md.
func policiesPage(policies []*judge.Policy) string {
	var out strings.Builder
	out.WriteString("# The policy library\n\nMade from the METADATA of the policies by `go test ./harness/judge -run TestPoliciesPage -update`.\n")
	out.WriteString("`seatrial policy explain ID` shows the same and the source; [writing-a-policy.md](writing-a-policy.md) says how to add your own.\n\n")
	out.WriteString("| policy | speaks when this does not hold | severity | scope | applies to plans with |\n| --- | --- | --- | --- | --- |\n")
	for _, p := range policies {
		fmt.Fprintf(&out, "| [%s](#%s) | %s | %s | %s | %s |\n", p.ID, anchor(p.ID), p.Title, p.Severity, p.Scope, cmp.Or(strings.Join(p.Needs, ", "), "anything"))
	}
	for _, p := range policies {
		fmt.Fprintf(&out, "\n## %s\n\n%s\n\n", p.ID, p.Description)
		for _, name := range p.ParamNames() {
			fmt.Fprintf(&out, "Parameter `%s`: %s Default: `%v`.\n\n", name, p.Params[name].Description, p.Params[name].Default)
		}
		fmt.Fprintf(&out, "What to do: %s\n", p.Remedy)
		for _, ref := range p.Related {
			fmt.Fprintf(&out, "\nSee <%s>.\n", ref)
		}
	}
	return out.String()
}

// anchor is how Markdown renderers link to a heading.
func anchor(id string) string { return strings.ReplaceAll(id, "/", "") }

func TestPoliciesPage(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "policies.md")
	want := policiesPage(library(t).Policies())
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is out of date; run go test ./harness/judge -run TestPoliciesPage -update", page)
	}
}
