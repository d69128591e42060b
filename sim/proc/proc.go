// Package proc starts child processes and never leaks one.
//
// A control plane is a dozen processes and some folders with keys in them. They must be gone when seatrial is,
// however it ends: finished, interrupted, or killed with SIGKILL. So nothing else in seatrial starts a long-lived
// process or makes a temporary folder; a [Supervisor] does, and guards them three times over:
//
//   - [Supervisor.Close] ends and removes everything on the ordinary way out;
//   - the kernel kills each child when the supervisor's thread dies (PR_SET_PDEATHSIG);
//   - a reaper, this binary started again in a session of its own, sees a pipe close when we die and then kills the
//     process groups that are left (a child's own children too) and removes the folders, within [ReapTimeout].
//
// What must not be left half done may finish before ([Command].Finish): the kernel doesn't kill it, and the reaper waits for it.
//
// A process and its folder:
//
//	func main() {
//		proc.Dispatch(map[string]func([]string) int{"_reaper": proc.ReaperMain})
//		…
//	}
//
//	dir, err := supervisor.TempDir("", "seatrial-*")
//	etcd, err := supervisor.Start(ctx, proc.Command{Name: "etcd cp-1", Path: path, Args: []string{"--data-dir", dir}})
//	select {
//	case <-etcd.Done():
//		return etcd.Err() // says the exit status and the last 50 lines
//	case <-ready:
//	}
package proc

import (
	"os"
	"sync/atomic"
)

// ReaperEntry is the name under which [ReaperMain] must be given to [Dispatch].
const ReaperEntry = "_reaper"

// dispatched says that this binary, started again as the reaper, will become the reaper. Without it a test binary
// would run its tests again instead, each of which starts a reaper.
var dispatched atomic.Bool

// Dispatch runs a hidden subcommand of this binary: when the first argument names an entry, it calls the entry with the
// arguments that follow and exits with the status it returns. Otherwise it returns. It is the first thing that main
// and TestMain do, because everything before it would run in each child too.
func Dispatch(entries map[string]func(args []string) int) {
	_, hasReaper := entries[ReaperEntry]
	dispatched.Store(hasReaper)
	if len(os.Args) < 2 {
		return
	}
	if entry, ok := entries[os.Args[1]]; ok {
		os.Exit(entry(os.Args[2:]))
	}
}

// Environment is what a child gets when its command names no environment: enough to find programs and temporary
// folders, and no credential of the user.
func Environment() []string {
	env := []string{}
	for _, name := range []string{"HOME", "LANG", "PATH", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
