package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/run"
	"github.com/seatrial/seatrial/harness/scenario"
)

func newRunCommand(a *app) *cobra.Command {
	var f rehearsalFlags
	var output string
	c := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "Rehearse a scenario and judge it",
		Long:  "Rehearse a scenario (a file, or a folder with a scenario.yaml) and judge it.\nThe evidence and the reports are in a folder below --runs.",
		Args:  exactArgs("SCENARIO"),
		RunE: func(c *cobra.Command, args []string) error {
			rec, result, err := a.rehearse(c.Context(), args[0], f, a.stderr)
			if rec == nil {
				return err
			}
			return errors.Join(err, a.show(rec, result, output), verdictOf(result.Verdict))
		},
	}
	f.register(c)
	f.registerRuns(c)
	f.registerKeep(c)
	f.registerResumable(c)
	c.Flags().StringVarP(&output, "output", "o", "terminal", fmt.Sprintf("how to print the result: %v", report.FormatNames()))
	return c
}

// show prints a recording in one of the report's formats.
func (a *app) show(rec *run.Recording, result judge.Result, format string) error {
	shown := rec.Report(result)
	if format == "terminal" {
		return report.Terminal(a.stdout, shown, screenOf(a.stdout))
	}
	chosen, err := report.LookupFormat(format)
	if err != nil {
		return usageError{err}
	}
	return chosen.Render(a.stdout, shown)
}

// verdictOf turns a verdict into the error that makes the exit status.
func verdictOf(v scenario.Verdict) error {
	if v == scenario.Passed {
		return nil
	}
	return verdictError{v}
}

func newPlanCommand(a *app) *cobra.Command {
	var f rehearsalFlags
	var output string
	c := &cobra.Command{
		Use:   "plan SCENARIO",
		Short: "Show what would be done, and have the plan policies judge it",
		Args:  exactArgs("SCENARIO"),
		RunE: func(c *cobra.Command, args []string) error {
			file, err := scenario.Load(args[0])
			if err != nil {
				return err
			}
			library, err := f.library()
			if err != nil {
				return err
			}
			if err := checkPolicies(library, file); err != nil {
				return err
			}
			provider, err := a.newProvider(c.Context(), f.providerFlags, a.stderr)
			if err != nil {
				return err
			}
			p, promised, err := run.Plan(file, provider)
			if err != nil {
				return err
			}
			result, err := library.Plan(c.Context(), p, promised, file.Spec.Policies)
			if err != nil {
				return err
			}
			if output == "json" {
				err = writeJSON(a.stdout, map[string]any{"plan": p, "result": result})
			} else {
				err = report.Plan(a.stdout, p, result)
			}
			return errors.Join(err, verdictOf(result.Verdict))
		},
	}
	f.register(c)
	c.Flags().StringVarP(&output, "output", "o", "", "json for programs")
	return c
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
