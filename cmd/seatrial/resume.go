package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/run"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/sim/embedded"
)

func newResumeCommand(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "resume RUN",
		Short: "Go on with a run that was killed",
		Long: "Go on with a run (run --resumable) that was killed, from its folder: its cluster starts again (on kind its nodes went on), the operations that were done are not performed again,\n" +
			"the one that was under way is, and the rest follows. The scenario must be where it was, and as it was.",
		Args: exactArgs("RUN"),
		RunE: func(c *cobra.Command, args []string) error {
			rec, result, err := a.resume(c.Context(), args[0])
			if rec == nil {
				return err
			}
			return errors.Join(err, a.show(rec, result, output), verdictOf(result.Verdict))
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "terminal", fmt.Sprintf("how to print the result: %v", report.FormatNames()))
	return c
}

func (f *rehearsalFlags) registerResumable(c *cobra.Command) {
	c.Flags().BoolVar(&f.resumable, "resumable", false, "leave what seatrial resume needs when this run is killed: the cluster's keys and data, in the run's folder, and on kind the cluster itself")
}

// rehearseResumably performs a run whose cluster's state outlives this process, should it be killed.
func (f rehearsalFlags) rehearseResumably(ctx context.Context, path string, o run.Options) (*run.Recording, judge.Result, error) {
	if !o.Provider.Has(cluster.CapReopen) {
		return nil, judge.Result{}, usageError{fmt.Errorf("--resumable: clusters of provider %q can't be started again", o.Provider.Name())}
	}
	if o.File.Stores() {
		return nil, judge.Result{}, usageError{errors.New("--resumable: the object storage of a rehearsal ends with seatrial, and what a step of the scenario keeps there would be gone")}
	}
	if o.File.LooksAtCertificates() && o.Provider.Name() == embedded.Name {
		return nil, judge.Result{}, usageError{errors.New("--resumable: the components of an embedded cluster are started again when a run is resumed, and load the certificates that no step had them load")}
	}
	origin, err := f.origin(path)
	if err != nil {
		return nil, judge.Result{}, err
	}
	if o.Folder, err = filepath.Abs(o.Folder); err != nil { // the state's paths are in the configuration of every component
		return nil, judge.Result{}, err
	}
	o.Resumable, o.StateDir = &origin, run.StateDir(o.Folder)
	rec, result, err := run.Do(ctx, o)
	return rec, result, errors.Join(err, os.RemoveAll(o.StateDir))
}

// origin is what the run is started from, with nothing that depends on where.
func (f rehearsalFlags) origin(path string) (run.Origin, error) {
	scenarioPath, err := filepath.Abs(path)
	if err != nil {
		return run.Origin{}, err
	}
	origin := run.Origin{Scenario: scenarioPath, Flags: f.args()}
	for _, dir := range f.policies {
		if dir, err = filepath.Abs(dir); err != nil {
			return run.Origin{}, err
		}
		origin.Flags = append(origin.Flags, "--policies", dir)
	}
	return origin, nil
}

// resume goes on with a run, as it was started.
func (a *app) resume(ctx context.Context, folder string) (*run.Recording, judge.Result, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, judge.Result{}, err
	}
	origin, err := run.ReadOrigin(folder)
	if err != nil {
		return nil, judge.Result{}, err
	}
	var f rehearsalFlags
	c := &cobra.Command{Use: "run"}
	f.register(c)
	if err := c.ParseFlags(origin.Flags); err != nil {
		return nil, judge.Result{}, fmt.Errorf("resume run %q: read what it was started with: %w", folder, err)
	}
	file, err := scenario.Load(origin.Scenario)
	if err != nil {
		return nil, judge.Result{}, err
	}
	library, err := f.library()
	if err != nil {
		return nil, judge.Result{}, err
	}
	provider, err := a.newProvider(ctx, f.providerFlags, a.stderr)
	if err != nil {
		return nil, judge.Result{}, err
	}
	rec, result, err := run.Resume(ctx, run.Options{
		ID: filepath.Base(folder), File: file, Provider: provider, Library: library, Folder: folder, StateDir: run.StateDir(folder), Resumable: &origin,
		Command: f.command(origin.Scenario), Keep: run.KeepNever, Scratch: scratchEtcd{a}, Progress: a.stderr, Now: time.Now,
	})
	if rec == nil {
		return nil, result, err // and it can be tried again
	}
	return rec, result, errors.Join(err, os.RemoveAll(run.StateDir(folder)))
}
