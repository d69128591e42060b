// Command seatrial gives a Kubernetes operation its sea trial: it rehearses it
// on a cluster made for the purpose, records what happens, and judges the
// recording with policies.
package main

import (
	"os"

	_ "github.com/seatrial/seatrial/cmd/seatrial/helptext" // which answers --help, and ends
	"github.com/seatrial/seatrial/sim/embedded"
	"github.com/seatrial/seatrial/sim/kind"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/scratch"
)

// entries are those of the processes that this binary is when it starts itself.
var entries = map[string]func([]string) int{
	proc.ReaperEntry: proc.ReaperMain, embedded.EtcdEntry: embedded.EtcdMain, scratch.Entry: scratch.Main, kind.Entry: kind.Main, kind.RemoveEntry: kind.RemoveMain,
}

func main() {
	proc.Dispatch(entries)
	os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
