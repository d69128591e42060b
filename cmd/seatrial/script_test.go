package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seatrial/seatrial/sim/embedded"
	"github.com/seatrial/seatrial/sim/proc"
)

func TestMain(m *testing.M) {
	proc.Dispatch(map[string]func([]string) int{"_reaper": proc.ReaperMain, "_etcd": embedded.EtcdMain})
	testscript.Main(m, map[string]func(){"seatrial": main})
}

// TestScript runs the command lines in testdata/script: what they print, where, and how they exit.
func TestScript(t *testing.T) {
	scenarios, err := filepath.Abs("../../scenarios")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("SCENARIOS", scenarios)
			env.Setenv("HOME", env.WorkDir)
			bin, _, _ := strings.Cut(env.Getenv("PATH"), string(filepath.ListSeparator))
			env.Setenv("BIN", bin) // where seatrial is, for scripts that have no other programs
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a command line and compares its exit status: exits STATUS COMMAND ARG…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND ARG…")
	}
	status := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		status = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v: %v", args[1:], err)
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("%v: exit status %d, expected %s", args[1:], status, args[0])
	}
}
