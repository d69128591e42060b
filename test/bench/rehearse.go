package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

// rehearsal is a run of a scenario, as its users start one.
type rehearsal struct {
	// name is the run's, and its cluster's.
	name   string
	events []trace.Event
}

// rehearse runs the scenario in a folder of the berth, which then has the evidence too, and wants that exit status. The name is known also when the error is not nil, if there was a run.
func (b *bench) rehearse(ctx context.Context, t berth, folder string, status int, flags ...string) (r rehearsal, err error) {
	c := exec.CommandContext(ctx, b.seatrial, append(append([]string{"run", "--runs", string(t)}, flags...), folder)...)
	var output bytes.Buffer
	c.Stdout, c.Stderr = &output, &output
	runErr := c.Run()
	runs, err := filepath.Glob(folder + "-*")
	if err != nil || len(runs) != 1 {
		return r, errors.Join(runErr, err, fmt.Errorf("expected one run of %q, found %q", folder, runs))
	}
	r.name = filepath.Base(runs[0])
	if c.ProcessState.ExitCode() != status {
		return r, fmt.Errorf("seatrial run %s: expected exit status %d: %w; output: %s", folder, status, runErr, &output)
	}
	file, err := os.Open(filepath.Join(runs[0], "trace.jsonl"))
	if err != nil {
		return r, err
	}
	defer file.Close()
	r.events, err = trace.ReadAll(file)
	return r, err
}

// stepsTook is the time between the beginning and the end of the steps.
func (r rehearsal) stepsTook() time.Duration {
	marks := map[string]time.Time{}
	for _, e := range r.events {
		if e.Kind == trace.KindRun {
			marks[e.Change] = e.Time
		}
	}
	return marks[trace.StepsEnded].Sub(marks[trace.StepsBegan])
}

// outages are the times for which, during a run's steps, the API did not answer through the balancer, or a service that was asked.
func (r rehearsal) outages() (api, services []world.Interval, err error) {
	fold := world.NewFold()
	for _, e := range r.events {
		if _, err := fold.Apply(e); err != nil {
			return nil, nil, err
		}
		switch {
		case e.Kind == trace.KindRun && e.Change == trace.StepsBegan:
			fold.Forget(e.Time, e.Seq)
		case e.Kind == trace.KindRun && e.Change == trace.StepsEnded:
			for _, iv := range fold.Intervals(e.Time, e.Seq) {
				switch {
				case iv.Condition == world.APIOutage && iv.Subject == "api/balancer":
					api = append(api, iv)
				case iv.Condition == world.ServiceOutage:
					services = append(services, iv)
				}
			}
			return api, services, nil
		}
	}
	return nil, nil, errors.New("the run's steps did not end")
}

// writeScenario makes the folder of a scenario that has one file of objects.
func writeScenario(folder, text, objectsFile string, objects []byte) error {
	return errors.Join(os.Mkdir(folder, 0o755),
		os.WriteFile(filepath.Join(folder, "scenario.yaml"), []byte(text), 0o644), os.WriteFile(filepath.Join(folder, objectsFile), objects, 0o644))
}
