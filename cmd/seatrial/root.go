package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"golang.org/x/sync/semaphore"
	"k8s.io/klog/v2"

	"github.com/seatrial/seatrial/sim/proc"
)

// app is what every command gets: its streams, and what it may start.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	creations *semaphore.Weighted // of embedded clusters, when scenarios run side by side

	mu         sync.Mutex // guards the supervisor: scenarios may run side by side
	supervisor *proc.Supervisor
}

// execute runs one command line and returns its exit status. A panic of ours is a defect and no verdict; the reaper cleans up after it.
func execute(args []string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	defer func() {
		if defect := recover(); defect != nil {
			fmt.Fprintf(stderr, "seatrial: defect: %v\n%s", defect, debug.Stack())
			status = exitDefect
		}
	}()
	klog.SetLogger(logr.Discard()) // client-go reports every lost connection of a power cut; the trace does that better
	ctx, stop := interruptible(context.Background())
	defer stop()
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, creations: semaphore.NewWeighted(int64(max(1, runtime.NumCPU()/2)))}
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if a.supervisor != nil {
		err = errors.Join(err, a.supervisor.Close(context.WithoutCancel(ctx)))
	}
	return exitStatus(ctx, err, stderr)
}

// signalError says which signal interrupted us.
type signalError struct{ syscall.Signal }

func (e signalError) Error() string { return "interrupted by " + e.String() }

// interruptible returns a context that ends with the first SIGINT or SIGTERM; clean-up follows. A second one ends the process, and the reaper cleans up.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		if s, ok := (<-signals).(syscall.Signal); ok {
			cancel(signalError{s})
			signal.Stop(signals)
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// processes returns the one supervisor of this process.
func (a *app) processes(ctx context.Context) (*proc.Supervisor, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.supervisor == nil {
		s, err := proc.NewSupervisor(ctx)
		if err != nil {
			return nil, err
		}
		a.supervisor = s
	}
	return a.supervisor, nil
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "seatrial",
		Short:         "Rehearse Kubernetes operations before production does",
		Long:          "seatrial gives a Kubernetes operation its sea trial: it makes a cluster, performs the real procedure on it,\nrecords what happens, and judges the recording with Rego policies.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommand,
		RunE:          help,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newPlanCommand(a), newRunCommand(a), newTestCommand(a), newResumeCommand(a), newJudgeCommand(a), newReportCommand(a),
		newListCommand(a), newGCCommand(a), newDoctorCommand(a), newBackupCommand(a), newCertsCommand(a), newRollCommand(a), newImageCommand(a), newPolicyCommand(a), newReleaseCommand(releaseOptions{Stdout: a.stdout, Stderr: a.stderr, Supervisor: a.processes}), newSchemaCommand(a), newVersionCommand(a),
	)
	return root
}

// subcommand is the Args of a command that does nothing but hold others: cobra itself would take a mistyped one for a call for help, and succeed.
func subcommand(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unknown command %q; %s --help lists them", args[0], c.CommandPath())}
	}
	return nil
}

// help is what such a command does.
func help(c *cobra.Command, _ []string) error { return c.Help() }

// exactArgs is cobra.ExactArgs with a usage error that names what is missing.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usageError{fmt.Errorf("expected %d arguments %v, got %d", len(names), names, len(args))}
		}
		return nil
	}
}
