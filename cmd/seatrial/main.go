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
)

func main() {
	proc.Dispatch(map[string]func([]string) int{
		proc.ReaperEntry: proc.ReaperMain, "_etcd": embedded.EtcdMain, kind.Entry: kind.Main, kind.RemoveEntry: kind.RemoveMain,
	})
	os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
