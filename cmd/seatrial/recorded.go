package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/run"
)

func newJudgeCommand(a *app) *cobra.Command {
	var f rehearsalFlags
	var output string
	c := &cobra.Command{
		Use:   "judge RUN",
		Short: "Judge a recorded run again, without a cluster",
		Long:  "Judge a recorded run again, without a cluster, and print the findings. Nothing in the run's folder changes.",
		Args:  exactArgs("RUN"),
		RunE: func(c *cobra.Command, args []string) error {
			rec, err := run.Open(args[0])
			if err != nil {
				return err
			}
			library, err := f.library()
			if err != nil {
				return err
			}
			result, err := run.Judge(c.Context(), library, rec)
			if err != nil {
				return err
			}
			result = rec.Conclude(result)
			if output == "findings" {
				raw, err := json.MarshalIndent(result, "", "  ")
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.stdout, "%s\n", raw)
				return errors.Join(err, verdictOf(result.Verdict))
			}
			return errors.Join(a.show(rec, result, output), verdictOf(result.Verdict))
		},
	}
	f.registerPolicies(c)
	c.Flags().StringVarP(&output, "output", "o", "terminal", fmt.Sprintf("findings (the bytes of findings.json) or one of %v", report.FormatNames()))
	return c
}

func newReportCommand(a *app) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "report RUN",
		Short: "Render a recorded run",
		Args:  exactArgs("RUN"),
		RunE: func(_ *cobra.Command, args []string) error {
			rec, err := run.Open(args[0])
			if err != nil {
				return err
			}
			result, err := rec.Findings()
			if err != nil {
				return err
			}
			return a.show(rec, result, format)
		},
	}
	c.Flags().StringVar(&format, "format", "terminal", fmt.Sprintf("one of %v", report.FormatNames()))
	return c
}

func newListCommand(a *app) *cobra.Command {
	var f rehearsalFlags
	var output string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the recorded runs, oldest first",
		Args:  exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			all, err := run.List(f.runs)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.stdout, all)
			}
			table := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
			fmt.Fprintln(table, "RUN\tVERDICT\tPROVIDER\tKUBERNETES\tSTARTED\tTOOK")
			for _, s := range all {
				verdict, took := string(s.Verdict), s.Ended.Sub(s.Started).Round(time.Second).String()
				if verdict == "" {
					verdict, took = "none", "-"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Run, verdict, s.Provider, s.Version, s.Started.Format(time.DateTime), took)
			}
			return table.Flush()
		},
	}
	f.registerRuns(c)
	c.Flags().StringVarP(&output, "output", "o", "", "json for programs")
	return c
}
