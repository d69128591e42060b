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

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/run"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/sim/cloud/objectstore"
)

// rehearsalFlags are what run, test and plan have in common.
type rehearsalFlags struct {
	providerFlags
	policies []string
	runs     string
	keep     string

	resumable bool
}

func (f *rehearsalFlags) register(c *cobra.Command) {
	f.providerFlags.register(c)
	f.registerPolicies(c)
}

func (f *rehearsalFlags) registerKeep(c *cobra.Command) {
	c.Flags().StringVar(&f.keep, "keep", string(run.KeepNever), "keep the cluster for you to look at: never, on-failure or always (kind only)")
}

// checkKeep refuses what can't be kept, before anything is made.
func (f *rehearsalFlags) checkKeep(provider cluster.Provider) error {
	switch run.Keep(f.keep) {
	case "", run.KeepNever:
		return nil
	case run.KeepOnFailure, run.KeepAlways:
		if !provider.Has(cluster.CapKeep) {
			return usageError{fmt.Errorf("--keep %s: clusters of provider %q end with this process; use --provider kind", f.keep, provider.Name())}
		}
		return nil
	}
	return usageError{fmt.Errorf("--keep %s: use never, on-failure or always", f.keep)}
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
	provider, err := a.newProvider(ctx, f.providerFlags, progress)
	if err != nil {
		return nil, judge.Result{}, err
	}
	if err := f.checkKeep(provider); err != nil {
		return nil, judge.Result{}, err
	}
	id, err := runID(file.Metadata.Name, time.Now())
	if err != nil {
		return nil, judge.Result{}, err
	}
	o := run.Options{
		ID: id, File: file, Provider: provider, Library: library, Folder: filepath.Join(f.runs, id),
		Command: f.command(path), Keep: run.Keep(f.keep), Scratch: scratchEtcd{a}, Progress: progress, Now: time.Now,
	}
	if f.resumable {
		return f.rehearseResumably(ctx, path, o)
	}
	if o.StateDir, err = a.supervisor.TempDir("", "seatrial-"); err != nil {
		return nil, judge.Result{}, err
	}
	end := func() error { return nil }
	if file.Stores() {
		if o.Storage, end, err = startStorage(ctx); err != nil {
			return nil, judge.Result{}, err
		}
	}
	rec, result, err := run.Do(ctx, o)
	return rec, result, errors.Join(err, end(), a.supervisor.RemoveDir(o.StateDir))
}

// bucket is the one that rehearsals keep their backups in.
const bucket = "backups"

// startStorage starts object storage for a rehearsal, and makes a client of it. It ends with this process.
func startStorage(ctx context.Context) (*procedure.Storage, func() error, error) {
	served, err := objectstore.Start(ctx, bucket)
	if err != nil {
		return nil, nil, err
	}
	client, err := backup.NewStore(backup.StoreOptions{
		Endpoint: served.URL, Region: objectstore.Region, Credentials: credentials.NewStaticV4(served.AccessKey, served.SecretKey, ""),
	})
	if err != nil {
		return nil, nil, errors.Join(err, served.Close())
	}
	serve := func(ctx context.Context, host string) (map[string]string, error) {
		url, err := served.ServeAt(ctx, host)
		return map[string]string{
			"AWS_ENDPOINT_URL_S3": url, "AWS_REGION": objectstore.Region, "AWS_ACCESS_KEY_ID": served.AccessKey, "AWS_SECRET_ACCESS_KEY": served.SecretKey,
		}, err
	}
	return &procedure.Storage{Store: client, Bucket: bucket, Serve: serve, Arrived: map[string]string{}}, served.Close, nil
}

// command is the command line that does the same again, quoted for a shell.
func (f rehearsalFlags) command(path string) string {
	words := append([]string{"seatrial", "run"}, f.args()...)
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

// runID is the scenario's name, the time and four random digits: unique, sortable, a DNS label, and at most 40 characters, so that host names can be
// made of it.
func runID(name string, now time.Time) (string, error) {
	var salt [2]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", fmt.Errorf("make the run's id: %w", err)
	}
	if len(name) > 19 {
		name = strings.TrimRight(name[:19], "-")
	}
	return fmt.Sprintf("%s-%s-%s", name, now.UTC().Format("20060102-150405"), hex.EncodeToString(salt[:])), nil
}
