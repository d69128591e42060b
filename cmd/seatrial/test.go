package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/run"
	"github.com/seatrial/seatrial/harness/scenario"
)

func newTestCommand(a *app) *cobra.Command {
	var f rehearsalFlags
	var count int
	c := &cobra.Command{
		Use:   "test DIR…",
		Short: "Run scenarios and compare the outcomes with what they expect",
		Long: "Run every scenario below the folders and compare verdict and findings with its expect.\n" +
			"A scenario that needs what the provider does not have is skipped, and said to be.\n" +
			"A folder that holds a recorded run is judged as it is, without a cluster.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("expected at least one folder")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			paths, err := findScenarios(args)
			if err != nil {
				return err
			}
			return a.test(c.Context(), paths, f, count)
		},
	}
	f.register(c)
	f.registerRuns(c)
	c.Flags().IntVar(&count, "count", 1, "how many times to run each scenario, in a row")
	return c
}

// findScenarios lists the folders below dirs that hold a scenario, in order.
func findScenarios(dirs []string) ([]string, error) {
	var found []string
	for _, dir := range dirs {
		before := len(found)
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if !entry.IsDir() && entry.Name() == "scenario.yaml" {
				found = append(found, filepath.Dir(path))
			}
			return nil
		})
		if err != nil {
			return nil, usageError{err}
		}
		if len(found) == before {
			return nil, usageError{fmt.Errorf("no scenario.yaml below %q", dir)}
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// test runs the scenarios one after the other and prints a line for each. Nothing is started before all of them are valid.
func (a *app) test(ctx context.Context, paths []string, f rehearsalFlags, count int) error {
	library, invalid := f.library()
	for _, path := range paths {
		if recorded(path) {
			continue
		}
		file, err := scenario.Load(path)
		if err == nil && library != nil {
			err = checkPolicies(library, file)
		}
		invalid = errors.Join(invalid, err)
	}
	if invalid != nil {
		return invalid
	}
	tally := map[string]int{}
	for _, path := range paths {
		for range count {
			began := time.Now()
			problems, err := a.testOne(ctx, path, f)
			if ctx.Err() != nil {
				return errors.Join(context.Cause(ctx), err)
			}
			state := "ok"
			var missing *plan.MissingError
			switch {
			case errors.As(err, &missing):
				state, problems = "SKIP", []string{missing.Error()}
			case err != nil:
				state, problems = "FAIL", append(problems, err.Error())
			case len(problems) > 0:
				state = "FAIL"
			}
			tally[state]++
			fmt.Fprintf(a.stdout, "%-4s  %-50s %5.1fs\n", state, path, time.Since(began).Seconds())
			for _, p := range problems {
				fmt.Fprintf(a.stdout, "      %s\n", p)
			}
			if state == "SKIP" {
				break // it will not have the capability the next time either
			}
		}
	}
	fmt.Fprintf(a.stdout, "%d passed, %d failed, %d skipped\n", tally["ok"], tally["FAIL"], tally["SKIP"])
	switch {
	case tally["FAIL"] > 0:
		return verdictError{scenario.Failed}
	case tally["ok"] == 0:
		return verdictError{scenario.Skipped} // nothing was looked at
	}
	return nil
}

// recorded tells whether the folder holds a recorded run.
func recorded(path string) bool {
	_, err := os.Stat(filepath.Join(path, "verdict.json"))
	return err == nil
}

// testOne returns what is not as the scenario expects.
func (a *app) testOne(ctx context.Context, path string, f rehearsalFlags) ([]string, error) {
	var rec *run.Recording
	var result judge.Result
	var err error
	if recorded(path) {
		rec, result, err = judgeRecorded(ctx, path, f)
	} else {
		rec, result, err = a.rehearse(ctx, path, f, a.stderr)
	}
	if rec == nil {
		return nil, err
	}
	problems := rec.Unexpected(result)
	if err != nil && rec.Scenario.Spec.Expect.Verdict != scenario.Errored {
		problems = append(problems, err.Error())
	}
	if len(problems) > 0 {
		problems = append(problems, "evidence: "+rec.Folder.Path)
	}
	return problems, nil
}

func judgeRecorded(ctx context.Context, path string, f rehearsalFlags) (*run.Recording, judge.Result, error) {
	rec, err := run.Open(path)
	if err != nil {
		return nil, judge.Result{}, err
	}
	library, err := f.library()
	if err != nil {
		return nil, judge.Result{}, err
	}
	result, err := run.Judge(ctx, library, rec)
	return rec, rec.Conclude(result), err
}
