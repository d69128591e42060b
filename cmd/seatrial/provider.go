package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/embedded"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/kind"
	"github.com/seatrial/seatrial/sim/nodeimage"
	"github.com/seatrial/seatrial/sim/release"
)

// providerFlags say who makes the cluster, and of what.
type providerFlags struct {
	provider string
	imageFlags
}

func (f *providerFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.provider, "provider", embedded.Name, "who makes the cluster: embedded or kind")
	f.imageFlags.register(c)
}

// args are the flags that say the same again.
func (f *providerFlags) args() []string {
	args := []string{"--provider", f.provider}
	if f.provider == kind.Name {
		args = append(args, f.imageFlags.args()...)
	}
	return args
}

// heapGrowth is GOGC of a process that has a cluster: by how many percent of what is in use its heap may grow until garbage is collected. With Go's default, 100, a fifth of the time
// that a rehearsal of a hundred nodes took the processors went into that.
const heapGrowth = 300

// newProvider makes the provider that --provider names. It starts nothing yet, and asks no engine.
func (a *app) newProvider(ctx context.Context, f providerFlags, progress io.Writer) (cluster.Provider, error) {
	if f.provider != embedded.Name && f.provider != kind.Name {
		return nil, usageError{fmt.Errorf("no provider %q: use %s or %s", f.provider, embedded.Name, kind.Name)}
	}
	if err := engine.CheckName(f.engine); err != nil {
		return nil, err
	}
	supervisor, err := a.processes(ctx)
	if err != nil {
		return nil, err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if f.provider == kind.Name {
		return kind.New(kind.Options{
			Supervisor: supervisor,
			StageDir:   nodeimage.StageDir,
			Engine:     func(ctx context.Context) (*engine.Client, error) { return engine.Open(ctx, supervisor, f.engine) },
			Images: func(ctx context.Context, version string, upgrades []string, balanced bool, w io.Writer) (kind.Image, error) {
				return a.nodeImage(ctx, f.imageFlags, version, upgrades, balanced, w)
			},
			Workload: func(ctx context.Context, do func(program, archive string) error) error {
				b, err := a.imageBuilder(ctx, f.imageFlags, progress)
				if err != nil {
					return err
				}
				return b.WithWorkload(ctx, do)
			},
			Seatrial: func(to io.Writer) error {
				self, err := os.Executable()
				if err != nil {
					return err
				}
				return nodeimage.WriteImage(to, cluster.SeatrialImage, self, "usr/local/bin/seatrial")
			},
		}), nil
	}
	store, err := release.NewStore(release.Options{Supervisor: a.processes, Progress: progress})
	if err != nil {
		return nil, err
	}
	return embedded.New(embedded.Options{
		Supervisor: supervisor,
		Creations:  a.creations,
		Releases: func(ctx context.Context, version string, components []string) (embedded.Release, error) {
			r, err := store.Get(ctx, version, components)
			return embedded.Release{Version: r.Version, Dir: r.Dir}, err
		},
	}), nil
}

// nodeImage makes the engine have the images that a kind cluster is made from.
func (a *app) nodeImage(ctx context.Context, f imageFlags, version string, upgrades []string, balanced bool, w io.Writer) (kind.Image, error) {
	b, err := a.imageBuilder(ctx, f, w)
	if err != nil {
		return kind.Image{}, err
	}
	var image nodeimage.Image
	var targets []nodeimage.Image
	if len(upgrades) > 0 {
		image, targets, err = b.BuildUpgrade(ctx, version, upgrades...)
	} else {
		image, err = b.Get(ctx, version)
	}
	if err == nil && balanced {
		err = b.GetBalancer(ctx, kind.BalancerImage)
	}
	made := kind.Image{Ref: image.Ref, Version: image.Version, Tags: kind.Tags(image.Tags)}
	for _, t := range targets {
		made.Targets = append(made.Targets, kind.Target{Version: t.Version, Tags: kind.Tags(t.Tags)})
	}
	return made, err
}
