package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/observe"
	"github.com/seatrial/seatrial/harness/roll"
	"github.com/seatrial/seatrial/harness/run"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/world"
)

func newRollCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "roll",
		Short: "Find out whether all nodes can be drained in turn",
		Args:  subcommand,
		RunE:  help,
	}
	c.AddCommand(newRollCheckCommand(a))
	return c
}

func newRollCheckCommand(a *app) *cobra.Command {
	var o roll.Options
	var kubeconfig, output string
	c := &cobra.Command{
		Use:   "check [RUN]",
		Short: "Drain a cluster's nodes in thought: is there a way, and if not, what is in the way?",
		Long: "Drain the nodes of a cluster in thought, a few at a time, with its budgets, replicas, affinities, taints and free capacity, as the step upgrade has it done before it begins.\n" +
			"With --kubeconfig, of any cluster as it is now: it is only read. Of a recorded run, as its cluster was at the end.\n" +
			"A roll that is called possible can be stuck all the same: seatrial policy explain upgrade/roll_possible says what is not looked at.\n" +
			"Exit status: 0 there is a way, 1 there is none, or not in this order.",
		Example: "  seatrial roll check --kubeconfig ~/.kube/config --parallel 2\n  seatrial roll check --kubeconfig ~/.kube/config --nodes worker-3,worker-1 --delete-emptydir-data\n  seatrial roll check runs/upgrade-20261128-100000-beef -o json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1) == (kubeconfig != "") {
				return usageError{errors.New("give one of RUN and --kubeconfig")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if output != "" && output != "json" {
				return usageError{fmt.Errorf("-o %s: use json, or nothing for text", output)}
			}
			if o.Parallel < 1 {
				return usageError{fmt.Errorf("--parallel %d: give 1 or more", o.Parallel)}
			}
			w, err := rollWorld(c.Context(), kubeconfig, args)
			if err != nil {
				return err
			}
			return a.checkRoll(w, o, output == "json")
		},
	}
	c.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig of the cluster that is looked at")
	c.Flags().StringSliceVar(&o.Nodes, "nodes", nil, "the nodes that are to be drained, in that order (default all that are no control planes, by name)")
	c.Flags().IntVar(&o.Parallel, "parallel", 1, "how many nodes may be away at a time")
	c.Flags().BoolVar(&o.Drain.Force, "force", false, "as kubectl drain --force")
	c.Flags().BoolVar(&o.Drain.DeleteEmptyDirData, "delete-emptydir-data", false, "as kubectl drain --delete-emptydir-data")
	c.Flags().BoolVar(&o.Drain.DisableEviction, "disable-eviction", false, "as kubectl drain --disable-eviction")
	c.Flags().StringVar(&o.Drain.PodSelector, "pod-selector", "", "as kubectl drain --pod-selector")
	c.Flags().StringVarP(&output, "output", "o", "", "json for programs")
	return c
}

// rollWorld is the cluster of a kubeconfig as it is now, or that of a recorded run.
func rollWorld(ctx context.Context, kubeconfig string, args []string) (*world.World, error) {
	if len(args) == 1 {
		rec, err := run.Open(args[0])
		if err != nil {
			return nil, err
		}
		return rec.World()
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, usageError{fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)}
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, usageError{fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, observe.SyncTimeout, fmt.Errorf("the cluster was not listed within %s", observe.SyncTimeout))
	defer cancel()
	w, err := observe.Live(ctx, kube)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return w, err
}

// checkRoll prints the way, or what is in the way.
func (a *app) checkRoll(w *world.World, o roll.Options, asJSON bool) error {
	for i, name := range o.Nodes {
		if w.Nodes[name] == nil {
			return usageError{fmt.Errorf("--nodes: there is no node %q; the cluster has %s", name, strings.Join(slices.Sorted(maps.Keys(w.Nodes)), ", "))}
		}
		if slices.Contains(o.Nodes[:i], name) {
			return usageError{fmt.Errorf("--nodes: %q is there twice", name)}
		}
	}
	if _, err := labels.Parse(o.Drain.PodSelector); err != nil {
		return usageError{fmt.Errorf("--pod-selector: %w", err)}
	}
	if len(o.Nodes) == 0 {
		for _, name := range slices.Sorted(maps.Keys(w.Nodes)) {
			if w.Nodes[name].Role != string(cluster.ControlPlane) {
				o.Nodes = append(o.Nodes, name)
			}
		}
	}
	if len(o.Nodes) == 0 {
		return errors.New("the cluster has no node that could be drained")
	}
	answer, err := roll.Check(w, o)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(a.stdout, roll.Planned{Options: o, Answer: answer})
	} else {
		a.showRoll(o, answer)
	}
	if err == nil && (!answer.Possible || len(answer.Stuck) > 0) {
		err = verdictError{scenario.Failed}
	}
	return err
}

func (a *app) showRoll(o roll.Options, answer roll.Answer) {
	fmt.Fprintf(a.stdout, "nodes: %d, at a time: %d: ", len(o.Nodes), o.Parallel)
	way := fmt.Sprintf("waves: %d, in the order %s", answer.Waves, strings.Join(answer.Order, ", "))
	switch {
	case answer.Possible && len(answer.Stuck) == 0:
		fmt.Fprintf(a.stdout, "there is a way, %s\n", way)
	case answer.Possible:
		fmt.Fprintf(a.stdout, "in the order %s it waits for ever at %s; there is another way, %s\n", strings.Join(o.Nodes, ", "), strings.Join(answer.Stuck, ", "), way)
	case answer.Fewer > 0:
		fmt.Fprintf(a.stdout, "no way was found; with %d at a time there is one\n", answer.Fewer)
	default:
		fmt.Fprintln(a.stdout, "no way was found")
	}
	for _, b := range answer.Blockers {
		fmt.Fprintf(a.stdout, "\n✗ %s keeps %s on %s for ever: it %s\n  change     %s\n", b.Object, b.Pod, b.Node, b.Reason, b.Change)
	}
}
