// Command bench measures what seatrial promises of speed and memory, and exits with status 1 when a promise is broken.
//
// Where a promise is a ratio, the peer is kwokctl, built from its module and measured in the same run, with the same
// Kubernetes binaries and the same etcd version, by the same code. Both take turns, never at the same time; of
// several rounds the median counts. docs/benchmarks.md says what each line means.
//
//	bin/bench -seatrial bin/seatrial                # everything
//	bin/bench -seatrial bin/seatrial -rounds 1 scale drain
//
// The table goes to stdout, progress to stderr.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/seatrial/seatrial/sim/embedded"
	"github.com/seatrial/seatrial/sim/kind"
	"github.com/seatrial/seatrial/sim/proc"
)

// closeTimeout bounds the clean-up at the end.
const closeTimeout = 30 * time.Second

// measurements lists what can be measured, in the order of the table.
var measurements = []struct {
	name string
	run  func(context.Context, *bench) ([]row, error)
}{
	{"create", measureCreate},
	{"scale", measureScale},
	{"drain", measureDrain},
	{"help", measureHelp},
	{"judge", measureJudge},
	{"roll", measureRoll},
	{"fleet", measureFleet},
	{"backup", measureBackup},
	{"restore", measureRestore},
	{"kind", onKind((*kindBench).measureKind)},
	{"upgrade", onKind((*kindBench).measureUpgrade)},
}

func main() {
	proc.Dispatch(map[string]func([]string) int{
		proc.ReaperEntry:   proc.ReaperMain,
		embedded.EtcdEntry: embedded.EtcdMain,
		clusterEntry:       clusterMain,
		kind.Entry:         kind.Main,
		kind.RemoveEntry:   kind.RemoveMain,
	})
	klog.SetLogger(logr.Discard()) // client-go reports connections that a cluster's end cuts
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	rows, err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(conclude(os.Stdout, os.Stderr, rows, err))
}

// conclude prints what was measured and returns the exit status: 0 when everything was, and is within its limit.
func conclude(stdout, stderr io.Writer, rows []row, err error) int {
	over, printErr := printTable(stdout, rows)
	err = errors.Join(err, printErr)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "bench: %v\n", err)
	case len(rows) == 0:
		fmt.Fprintln(stderr, "bench: nothing was measured")
	case over > 0:
		fmt.Fprintf(stderr, "bench: %d of %d are over their limit\n", over, len(rows))
	default:
		return 0
	}
	return 1
}

// bench is what the measurements work with.
type bench struct {
	supervisor *proc.Supervisor
	seatrial   string // the binary
	rounds     int
	progress   io.Writer
	began      time.Time

	// versus is had on first use: not every measurement has a peer.
	versus *peer
}

// say reports progress.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%6.1fs  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// run measures what the arguments name. What was measured before an error is returned with it.
func run(ctx context.Context, args []string, progress io.Writer) (rows []row, err error) {
	b := &bench{progress: progress, began: time.Now()}
	names, err := b.parse(args)
	if err != nil {
		return nil, err
	}
	if b.supervisor, err = proc.NewSupervisor(ctx); err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, b.supervisor.Close(ctx))
	}()
	for _, m := range measurements {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		b.say("measure %s; load average %s", m.name, loadAverage())
		measured, err := m.run(ctx, b)
		if err != nil {
			return rows, fmt.Errorf("measure %s: %w", m.name, err)
		}
		rows = append(rows, measured...)
	}
	return rows, nil
}

// parse reads the command line and returns the names of the measurements that are wanted; none mean all.
func (b *bench) parse(args []string) ([]string, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(b.progress)
	flags.StringVar(&b.seatrial, "seatrial", "bin/seatrial", "the seatrial binary")
	flags.IntVar(&b.rounds, "rounds", 3, "how often clusters are made and filled; the median counts")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if b.rounds < 1 {
		return nil, fmt.Errorf("-rounds %d: want 1 or more", b.rounds)
	}
	var known []string
	for _, m := range measurements {
		known = append(known, m.name)
	}
	for _, name := range flags.Args() {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no measurement %q: use %s", name, strings.Join(known, ", "))
		}
	}
	return flags.Args(), nil
}

// loadAverage is that of the last 1, 5 and 15 minutes: the numbers of a busy machine say little.
func loadAverage() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	fields := strings.Fields(string(raw))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// median is the middle value, or the mean of the two in the middle.
func median[T ~int64](of []T) T {
	s := slices.Sorted(slices.Values(of))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
