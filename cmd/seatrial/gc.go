package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/sim/proc"
)

func newGCCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "gc",
		Short: "Remove what killed runs left behind",
		Long: "Remove what runs left behind that were killed together with their reaper: temporary folders whose owner is gone.\n" +
			"Runs that are under way, and the folders of recorded runs, are not touched.",
		Args: exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			removed, err := proc.CollectGarbage("")
			for _, dir := range removed {
				fmt.Fprintln(a.stdout, "removed", dir)
			}
			return err
		},
	}
}
