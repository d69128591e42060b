package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/release"
)

// releaseOptions are what the release commands need, and their flags.
type releaseOptions struct {
	// Stdout gets the result, Stderr the progress.
	Stdout, Stderr io.Writer
	// Supervisor is called only when something is not in the cache.
	Supervisor func(context.Context) (*proc.Supervisor, error)
	// Store makes the store; tests replace it. Nil means release.NewStore.
	Store func(release.Options) (*release.Store, error)

	version    string
	components []string
	output     string
}

// newReleaseCommand is `seatrial release`, with its subcommands.
func newReleaseCommand(o releaseOptions) *cobra.Command {
	if o.Store == nil {
		o.Store = release.NewStore
	}
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Get and list Kubernetes releases",
		Long: "The release store holds the Kubernetes binaries that embedded clusters run. What a run needs is had when it is\n" +
			"needed; get does it beforehand.",
		Args: subcommand,
		RunE: help,
	}
	cmd.AddCommand(newReleaseGetCommand(o), newReleaseListCommand(o))
	return cmd
}

func newReleaseGetCommand(o releaseOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get VERSION",
		Short: "Get a release into the store and print its folder",
		Long: "Get a release from the cache, or else from the official download, checked against its published SHA-256, or, when\n" +
			"the download host can't be reached, by a build from the module k8s.io/kubernetes, which takes minutes.\n\n" +
			"VERSION is a release, as v1.34.4, or a minor, as v1.34: the newest patch in the cache, or else the newest there is.",
		Example: "  seatrial release get v1.34\n" +
			"  seatrial release get v1.34.4 --components kubelet,kubectl -o json",
		Args: exactArgs("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.version = args[0]
			return runReleaseGet(cmd.Context(), o)
		},
	}
	cmd.Flags().StringSliceVar(&o.components, "components", release.DefaultComponents,
		"what to get, of "+strings.Join(release.KnownComponents, ", "))
	addReleaseOutput(cmd, &o)
	return cmd
}

func newReleaseListCommand(o releaseOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the releases in the store, newest first",
		Args:  exactArgs(),
		RunE:  func(*cobra.Command, []string) error { return runReleaseList(o) },
	}
	addReleaseOutput(cmd, &o)
	return cmd
}

func addReleaseOutput(cmd *cobra.Command, o *releaseOptions) {
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "text or json")
}

// checkReleaseOutput refuses what -o does not know, before any work.
func checkReleaseOutput(output string) error {
	if output != "text" && output != "json" {
		return &release.InputError{Reason: fmt.Sprintf("unknown output %q; known are text, json", output)}
	}
	return nil
}

func runReleaseGet(ctx context.Context, o releaseOptions) error {
	if err := checkReleaseOutput(o.output); err != nil {
		return err
	}
	store, err := o.Store(release.Options{Supervisor: o.Supervisor, Progress: o.Stderr})
	if err != nil {
		return err
	}
	r, err := store.Get(ctx, o.version, o.components)
	if err != nil {
		return err
	}
	if o.output == "json" {
		return writeReleaseJSON(o.Stdout, r)
	}
	_, err = fmt.Fprintln(o.Stdout, r.Dir)
	return err
}

func runReleaseList(o releaseOptions) error {
	if err := checkReleaseOutput(o.output); err != nil {
		return err
	}
	store, err := o.Store(release.Options{})
	if err != nil {
		return err
	}
	releases, err := store.List()
	if err != nil {
		return err
	}
	if o.output == "json" {
		return writeReleaseJSON(o.Stdout, append([]release.Release{}, releases...)) // [] rather than null
	}
	table := tabwriter.NewWriter(o.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tCOMPONENT\tSOURCE\tPATH")
	for _, r := range releases {
		for _, name := range slices.Sorted(maps.Keys(r.Components)) {
			file := r.Components[name]
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Version, name, file.Source, file.Path)
		}
	}
	return table.Flush()
}

func writeReleaseJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
