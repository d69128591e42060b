package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/run"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/sim/embedded"
	"github.com/seatrial/seatrial/sim/release"
)

// rehearsalFlags are what run, test and plan have in common.
type rehearsalFlags struct {
	provider string
	policies []string
	runs     string
}

func (f *rehearsalFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.provider, "provider", "embedded", "who makes the cluster: embedded")
	f.registerPolicies(c)
}

func (f *rehearsalFlags) registerPolicies(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.policies, "policies", nil, "folder of policies to judge with, beside the library's; may be repeated")
}

func (f *rehearsalFlags) registerRuns(c *cobra.Command) {
	c.Flags().StringVar(&f.runs, "runs", "runs", "folder that the runs' folders are in")
}

func (f *rehearsalFlags) library() (*judge.Library, error) { return loadPolicies(f.policies) }

// checkPolicies finds what a scenario says about policies that there are not, and says where the scenario says it.
func checkPolicies(library *judge.Library, file *scenario.File) error {
	err := library.Check(file.Spec.Policies)
	var unknown *judge.PolicyError
	if errors.As(err, &unknown) {
		for i, p := range unknown.Problems {
			if p.File == "" {
				unknown.Problems[i].File = file.Path
				unknown.Problems[i].Row, unknown.Problems[i].Col = file.Place("spec.policies")
			}
		}
	}
	return err
}

// newProvider makes the provider that --provider names. It starts nothing yet.
func (a *app) newProvider(ctx context.Context, name string, progress io.Writer) (cluster.Provider, error) {
	if name != "embedded" {
		return nil, usageError{fmt.Errorf("no provider %q: use embedded", name)}
	}
	supervisor, err := a.processes(ctx)
	if err != nil {
		return nil, err
	}
	store, err := release.NewStore(release.Options{Supervisor: a.processes, Progress: progress})
	if err != nil {
		return nil, err
	}
	return embedded.New(embedded.Options{
		Supervisor: supervisor,
		Releases: func(ctx context.Context, version string, components []string) (embedded.Release, error) {
			r, err := store.Get(ctx, version, components)
			return embedded.Release{Version: r.Version, Dir: r.Dir}, err
		},
	}), nil
}

// rehearse performs one scenario and returns its recording.
func (a *app) rehearse(ctx context.Context, path string, f rehearsalFlags, progress io.Writer) (*run.Recording, judge.Result, error) {
	file, err := scenario.Load(path)
	if err != nil {
		return nil, judge.Result{}, err
	}
	library, err := f.library()
	if err != nil {
		return nil, judge.Result{}, err
	}
	if err := checkPolicies(library, file); err != nil {
		return nil, judge.Result{}, err
	}
	provider, err := a.newProvider(ctx, f.provider, progress)
	if err != nil {
		return nil, judge.Result{}, err
	}
	state, err := a.supervisor.TempDir("", "seatrial-")
	if err != nil {
		return nil, judge.Result{}, err
	}
	id, err := runID(file.Metadata.Name, time.Now())
	if err != nil {
		return nil, judge.Result{}, err
	}
	rec, result, err := run.Do(ctx, run.Options{
		ID: id, File: file, Provider: provider, Library: library, Folder: filepath.Join(f.runs, id), StateDir: state,
		Command: f.command(path), Progress: progress, Now: time.Now,
	})
	return rec, result, errors.Join(err, a.supervisor.RemoveDir(state))
}

// command is the command line that does the same again, quoted for a shell.
func (f rehearsalFlags) command(path string) string {
	words := []string{"seatrial", "run", "--provider", f.provider}
	for _, dir := range f.policies {
		words = append(words, "--policies", dir)
	}
	words = append(words, path)
	for i, word := range words {
		if !plainWord.MatchString(word) {
			words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=-]+$`)

// runID is the scenario's name, the time and four random digits: unique, sortable, and a DNS label.
func runID(name string, now time.Time) (string, error) {
	var salt [2]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", fmt.Errorf("make the run's id: %w", err)
	}
	if len(name) > 40 {
		name = name[:40]
	}
	return fmt.Sprintf("%s-%s-%s", name, now.UTC().Format("20060102-150405"), hex.EncodeToString(salt[:])), nil
}
