package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/gobuild"
	"github.com/seatrial/seatrial/sim/kind"
	"github.com/seatrial/seatrial/sim/nodeimage"
	"github.com/seatrial/seatrial/sim/progress"
	"github.com/seatrial/seatrial/sim/release"
)

func newImageCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "Build and list kind node images",
		Long: "Node images are what kind clusters are made of. Where no registry can be reached, they are built from a Kubernetes release,\n" +
			"Debian packages and Go modules; a run builds what it needs, build does it beforehand.",
		Args: subcommand,
		RunE: help,
	}
	c.AddCommand(newImageBuildCommand(a), newImageListCommand(a))
	return c
}

// imageFlags say where node images come from.
type imageFlags struct {
	engine string
	// registry is the repository of kind's own node images.
	registry string
}

func (f *imageFlags) register(c *cobra.Command) {
	f.registerEngine(c)
	c.Flags().StringVar(&f.registry, "node-repository", nodeimage.Upstream, `where kind's node images are pulled from; "" pulls nothing and builds`)
}

// registerEngine is for the commands to which it does not matter where images could be pulled from.
func (f *imageFlags) registerEngine(c *cobra.Command) {
	c.Flags().StringVar(&f.engine, "engine", "", "the container engine: docker or podman; by default the first that answers")
}

// args are the flags that say the same again.
func (f *imageFlags) args() []string {
	var args []string
	if f.engine != "" {
		args = append(args, "--engine", f.engine)
	}
	if f.registry != nodeimage.Upstream {
		args = append(args, "--node-repository="+f.registry)
	}
	return args
}

func newImageBuildCommand(a *app) *cobra.Command {
	var f imageFlags
	var output string
	var upgrades []string
	c := &cobra.Command{
		Use:   "build VERSION",
		Short: "Build the node image of a Kubernetes version, and the balancer image, and print their names",
		Long: "Build the node image of VERSION, a minor (v1.34: the newest patch in the release store) or exact (v1.34.4), and the image of\n" +
			"the load balancer that several control planes have. What is there and made of the same is not built again. With --upgrade-to it is the\n" +
			"image of nodes that are to be upgraded, which has what takes them to that version too.",
		Example: "  seatrial image build v1.34\n  seatrial image build v1.33 --upgrade-to v1.34\n  podman save seatrial.dev/node:v1.34.4 | gzip > node.tar.gz   # to carry it to another machine",
		Args:    exactArgs("VERSION"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := errors.Join(checkOutput(output), checkUpgrades(args[0], upgrades)); err != nil {
				return err
			}
			b, err := a.imageBuilder(c.Context(), f, a.stderr)
			if err != nil {
				return err
			}
			var image nodeimage.Image
			if len(upgrades) > 0 {
				image, _, err = b.BuildUpgrade(c.Context(), args[0], upgrades...)
			} else {
				image, err = b.Build(c.Context(), args[0])
			}
			if err != nil {
				return err
			}
			if err := b.BuildBalancer(c.Context(), kind.BalancerImage); err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.stdout, image)
			}
			_, err = fmt.Fprintf(a.stdout, "%s\n%s\n", image.Ref, kind.BalancerImage)
			return err
		},
	}
	f.registerEngine(c)
	c.Flags().StringSliceVar(&upgrades, "upgrade-to", nil, "a version that the nodes are to be upgraded to; each minor on the way, in order")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

func newImageListCommand(a *app) *cobra.Command {
	var f imageFlags
	var output string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the node images that the container engine has",
		Args:  exactArgs(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			b, err := a.imageBuilder(c.Context(), f, a.stderr)
			if err != nil {
				return err
			}
			images, err := b.List(c.Context())
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.stdout, images)
			}
			table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			for _, image := range images {
				fmt.Fprintf(table, "%s\t%.1f GB\n", image.Ref, float64(image.Size)/1e9)
			}
			return table.Flush()
		},
	}
	f.registerEngine(c)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

// checkOutput refuses what -o does not know, before any work.
func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return usageError{fmt.Errorf("unknown output %q; known are text, json", output)}
	}
	return nil
}

// checkUpgrades refuses a way of versions that leads back, before any work.
func checkUpgrades(from string, to []string) error {
	for _, next := range to {
		if scenario.Minor(next) < scenario.Minor(from) {
			return usageError{fmt.Errorf("--upgrade-to %q is older than %q, or no version", next, from)}
		}
		from = next
	}
	return nil
}

// imageBuilder makes the builder of node images, with an engine.
func (a *app) imageBuilder(ctx context.Context, f imageFlags, w io.Writer) (*nodeimage.Builder, error) {
	supervisor, err := a.processes(ctx)
	if err != nil {
		return nil, err
	}
	client, err := engine.Open(ctx, supervisor, f.engine)
	if err != nil {
		return nil, err
	}
	p := progress.New(w)
	releases, err := release.NewStore(release.Options{Supervisor: a.processes, Progress: w})
	if err != nil {
		return nil, err
	}
	tools, err := gobuild.NewStore(gobuild.Options{Supervisor: a.processes, Progress: p})
	if err != nil {
		return nil, err
	}
	return nodeimage.NewBuilder(nodeimage.Options{Engine: client, Supervisor: supervisor, Releases: releases, Tools: tools, Progress: p, Registry: f.registry})
}
