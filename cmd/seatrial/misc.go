package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/scenario"
)

func newSchemaCommand(a *app) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of scenarios",
		Args:  exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			switch format {
			case "json":
				schema, err := scenario.Schema()
				if err != nil {
					return err
				}
				_, err = a.stdout.Write(schema)
				return err
			case "markdown":
				_, err := a.stdout.Write(scenario.Reference())
				return err
			}
			return usageError{fmt.Errorf("no format %q: use json or markdown", format)}
		},
	}
	c.Flags().StringVar(&format, "format", "json", "json, or markdown for the reference")
	return c
}

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			version := "(devel)"
			if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
				version = info.Main.Version
			}
			_, err := fmt.Fprintf(a.stdout, "seatrial %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// screenOf measures the terminal that w is, if it is one.
func screenOf(w io.Writer) report.Screen {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return report.Screen{}
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		width = 0
	}
	return report.Screen{Width: width, Colour: os.Getenv("NO_COLOR") == ""}
}
