package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/sim/engine"
)

func newDoctorCommand(a *app) *cobra.Command {
	var name, output string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say whether nodes in containers can run on this machine, and what to do",
		Long: "Look whether this machine has what the nodes of kind clusters need: an engine that answers, control groups, capabilities,\n" +
			"limits, room. For each, say that it is fine or what to do. Nothing is changed. The embedded provider needs none of it.\n\n" +
			"Exit status 1 means that something is missing, 3 that something could not be looked at.",
		Args: exactArgs(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if err := engine.CheckName(name); err != nil {
				return err
			}
			facts := engine.Look(c.Context(), name)
			facts.LookForImages(c.Context())
			checks := engine.Examine(facts)
			if err := a.printChecks(checks, output); err != nil {
				return err
			}
			return doctorsVerdict(engine.Worst(checks))
		},
	}
	c.Flags().StringVar(&name, "engine", "", "the container engine: docker or podman; by default the first that answers")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

func (a *app) printChecks(checks []engine.Check, output string) error {
	if output == "json" {
		return writeJSON(a.stdout, checks)
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, c := range checks {
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.Name, c.State, c.Found)
		if c.Do != "" {
			fmt.Fprintf(table, "\t\tdo: %s\n", c.Do)
		}
	}
	return table.Flush()
}

// doctorsVerdict turns what was printed into an exit status.
func doctorsVerdict(worst engine.State) error {
	switch worst {
	case engine.Missing:
		return verdictError{scenario.Failed}
	case engine.Unknown:
		return verdictError{scenario.Errored}
	}
	return nil
}
