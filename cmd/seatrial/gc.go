package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/sim/kind"
	"github.com/seatrial/seatrial/sim/proc"
)

func newGCCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "gc [CLUSTER…]",
		Short: "Remove what killed runs left behind, and kept clusters by name",
		Long: "Remove what runs left behind that were killed together with their reaper: temporary folders and kind clusters whose owner is gone.\n" +
			"Runs that are under way, and the folders of recorded runs, are not touched. A cluster that was kept (run --keep) is removed when it is named.",
		RunE: func(c *cobra.Command, kept []string) error {
			removed, err := proc.CollectGarbage("")
			for _, dir := range removed {
				fmt.Fprintln(a.stdout, "removed", dir)
			}
			supervisor, supervisorErr := a.processes(c.Context())
			if supervisorErr != nil {
				return errors.Join(err, supervisorErr)
			}
			clusters, clustersErr := kind.CollectGarbage(c.Context(), supervisor, "", kept)
			for _, name := range clusters {
				fmt.Fprintln(a.stdout, "removed cluster", name)
			}
			return errors.Join(err, clustersErr)
		},
	}
}
