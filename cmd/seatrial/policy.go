package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/scenario"
)

func newPolicyCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Test, list and explain policies",
		Args:  subcommand,
		RunE:  help,
	}
	c.AddCommand(newPolicyTestCommand(a), newPolicyListCommand(a), newPolicyExplainCommand(a))
	return c
}

// loadPolicies loads the library together with folders of the user's.
func loadPolicies(dirs []string) (*judge.Library, error) {
	sources := []judge.Source{judge.Embedded()}
	for _, dir := range dirs {
		sources = append(sources, judge.Dir(dir))
	}
	return judge.Load(sources...)
}

func newPolicyTestCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "test [DIR…]",
		Short: "Run the tests of the library and of your own policies",
		Long:  "Runs the Rego tests of the library and of the policies in each DIR, in the sandbox in which policies judge.\nFails when a test fails, and when a line of a policy is reached by no test.",
		RunE: func(c *cobra.Command, dirs []string) error {
			library, err := loadPolicies(dirs)
			if err != nil {
				return err
			}
			report, err := library.Test(c.Context())
			if err != nil {
				return err
			}
			if err := printPolicyTests(a.stdout, report); err != nil {
				return err
			}
			if !report.Passed() {
				return verdictError{scenario.Failed}
			}
			return nil
		},
	}
}

// printPolicyTests says what failed and what no test reaches, and closes with the totals.
func printPolicyTests(w io.Writer, report judge.TestReport) error {
	var out strings.Builder
	failed := 0
	for _, t := range report.Tests {
		if !t.Passed {
			failed++
			fmt.Fprintf(&out, "FAIL %s (%s)\n%s", t.Name, t.At, indented(t.Output))
		}
	}
	for _, line := range report.Uncovered {
		fmt.Fprintf(&out, "%s: no test reaches this line\n", line)
	}
	fmt.Fprintf(&out, "%d tests, %d failed; coverage %g %%, %d lines uncovered\n", len(report.Tests), failed, report.Coverage, len(report.Uncovered))
	_, err := io.WriteString(w, out.String())
	return err
}

func indented(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		fmt.Fprintf(&out, "    %s\n", strings.TrimRight(line, "\n"))
	}
	return out.String()
}

func newPolicyListCommand(a *app) *cobra.Command {
	var dirs []string
	var output string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the policies with their severity and scope",
		Args:  exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return usageError{fmt.Errorf("unknown output %q; known are text, json", output)}
			}
			library, err := loadPolicies(dirs)
			if err != nil {
				return err
			}
			if output == "json" {
				encoder := json.NewEncoder(a.stdout)
				encoder.SetIndent("", "  ")
				return encoder.Encode(library.Policies())
			}
			table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "ID\tSEVERITY\tSCOPE\tTITLE")
			for _, p := range library.Policies() {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", p.ID, p.Severity, p.Scope, p.Title)
			}
			return table.Flush()
		},
	}
	addPolicyFolders(c, &dirs)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

func newPolicyExplainCommand(a *app) *cobra.Command {
	var dirs []string
	c := &cobra.Command{
		Use:     "explain ID",
		Short:   "Say what a policy looks at, what to do when it speaks, and how it is written",
		Example: "  seatrial policy explain drain/budget_respected",
		Args:    exactArgs("ID"),
		RunE: func(_ *cobra.Command, args []string) error {
			library, err := loadPolicies(dirs)
			if err != nil {
				return err
			}
			p := library.Policy(args[0])
			if p == nil {
				return usageError{fmt.Errorf("there is no policy %q; seatrial policy list lists them", args[0])}
			}
			return explainPolicy(a.stdout, p)
		},
	}
	addPolicyFolders(c, &dirs)
	return c
}

func addPolicyFolders(c *cobra.Command, dirs *[]string) {
	c.Flags().StringArrayVar(dirs, "policies", nil, "folder of more policies; may be given more than once")
}

func explainPolicy(w io.Writer, p *judge.Policy) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %s\n\n%s\n\n", p.ID, p.Title, p.Description)
	fmt.Fprintf(&out, "severity     %s\nscope        %s\n", p.Severity, p.Scope)
	if len(p.On) > 0 {
		fmt.Fprintf(&out, "wakes on     %s\n", strings.Join(p.On, ", "))
	}
	fmt.Fprintf(&out, "applies to   %s\n", cmp.Or(strings.Join(p.Needs, ", "), "every plan"))
	for _, name := range p.ParamNames() {
		fmt.Fprintf(&out, "parameter    %s: %s Default: %v.\n", name, p.Params[name].Description, p.Params[name].Default)
	}
	fmt.Fprintf(&out, "remedy       %s\n", p.Remedy)
	for _, ref := range p.Related {
		fmt.Fprintf(&out, "see          %s\n", ref)
	}
	fmt.Fprintf(&out, "\n%s:\n\n%s", p.File, p.Source)
	_, err := io.WriteString(w, out.String())
	return err
}
