package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/run"
	"github.com/seatrial/seatrial/harness/scenario"
)

func newTestCommand(a *app) *cobra.Command {
	var f rehearsalFlags
	var count, parallel int
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
			if count < 1 || parallel < 1 {
				return usageError{errors.New("--count and --parallel: use 1 or more")}
			}
			return a.test(c.Context(), paths, f, count, parallel)
		},
	}
	f.register(c)
	f.registerRuns(c)
	c.Flags().IntVar(&count, "count", 1, "how many times to run each scenario, in a row")
	c.Flags().IntVar(&parallel, "parallel", 1, "how many to run side by side; a busy machine makes outages longer")
	return c
}

// findScenarios lists the folders that hold a scenario, each once: in the order of dirs, and below each in that of names.
func findScenarios(dirs []string) ([]string, error) {
	var found []string
	for _, dir := range dirs {
		none := true
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || entry.Name() != "scenario.yaml" {
				return err
			}
			none = false
			if folder := filepath.Dir(path); !slices.Contains(found, folder) {
				found = append(found, folder)
			}
			return nil
		})
		if err == nil && none {
			err = fmt.Errorf("no scenario.yaml below %q", dir)
		}
		if err != nil {
			return nil, usageError{err}
		}
	}
	return found, nil
}

// test runs the scenarios, as many side by side as asked, and prints a line for each. Nothing is started before all of them are valid.
func (a *app) test(ctx context.Context, paths []string, f rehearsalFlags, count, parallel int) error {
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
	t := tally{app: a, counts: map[string]int{}, skip: map[string]bool{}}
	var running errgroup.Group
	running.SetLimit(parallel)
	for _, path := range paths {
		for range count {
			running.Go(func() error { return t.run(ctx, path, f, parallel > 1) })
		}
	}
	if err := running.Wait(); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%d passed, %d failed, %d skipped\n", t.counts[passed], t.counts[failed], t.counts[skipped])
	switch {
	case t.counts[failed] > 0:
		return verdictError{scenario.Failed}
	case t.counts[passed] == 0:
		return verdictError{scenario.Skipped} // nothing was looked at
	}
	return nil
}

// What became of a scenario.
const (
	passed  = "ok"
	failed  = "FAIL"
	skipped = "SKIP"
)

// tally runs scenarios and counts what became of them.
type tally struct {
	app *app

	mu     sync.Mutex
	counts map[string]int
	skip   map[string]bool // scenarios that the provider can't do: it can't the next time either
}

// run runs a scenario once and prints its line. The error says that nothing more is to be run.
func (t *tally) run(ctx context.Context, path string, f rehearsalFlags, named bool) error {
	t.mu.Lock()
	skip := t.skip[path]
	t.mu.Unlock()
	if skip || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	progress := t.app.stderr
	if named {
		progress = &prefixWriter{prefix: filepath.Base(path) + ": ", out: progress}
	}
	began := time.Now()
	problems, err := t.app.testOne(ctx, path, f, progress)
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	state := passed
	var missing *plan.MissingError
	switch {
	case errors.As(err, &missing):
		state, problems = skipped, []string{missing.Error()}
	case err != nil:
		state, problems = failed, append(problems, err.Error())
	case len(problems) > 0:
		state = failed
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[state]++
	t.skip[path] = state == skipped
	fmt.Fprintf(t.app.stdout, "%-4s  %-50s %5.1fs\n", state, path, time.Since(began).Seconds())
	for _, p := range problems {
		fmt.Fprintf(t.app.stdout, "      %s\n", p)
	}
	return nil
}

// prefixWriter says before each write whose it is: progress comes a line at a time.
type prefixWriter struct {
	prefix string
	out    io.Writer
}

func (w *prefixWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.out, w.prefix+string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// recorded tells whether the folder holds a recorded run.
func recorded(path string) bool {
	_, err := os.Stat(filepath.Join(path, "verdict.json"))
	return err == nil
}

// testOne returns what is not as the scenario expects.
func (a *app) testOne(ctx context.Context, path string, f rehearsalFlags, progress io.Writer) ([]string, error) {
	var rec *run.Recording
	var result judge.Result
	var err error
	if recorded(path) {
		rec, result, err = judgeRecorded(ctx, path, f)
	} else {
		rec, result, err = a.rehearse(ctx, path, f, progress)
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
