package kind

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/exec"
	"sigs.k8s.io/kind/pkg/log"

	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/proc"
)

// Entry is the name under which [Main] must be given to proc.Dispatch.
const Entry = "_kind"

// order is what the child is told, as JSON on its stdin.
type order struct {
	Engine     string `json:"engine"`
	Name       string `json:"name"`
	Config     []byte `json:"config"` // kind's own format
	Kubeconfig string `json:"kubeconfig"`
}

// Main is the entry "_kind": it makes one cluster with the kind library and ends. The library takes no context, and runs the engine's commands with
// this process's environment; so it has a process of its own, which can be killed and has the environment that it needs. It says on stderr what
// it does. What it made when it fails or is killed is its parent's to remove. On SIGTERM it finishes.
func Main([]string) int {
	told := make(chan os.Signal, 1)
	signal.Notify(told, unix.SIGTERM)
	go func() {
		<-told
		finish()
	}()
	if err := create(os.Stdin, &logger{out: os.Stderr}); err != nil {
		for slices.ContainsFunc(proc.Children(), letFinish) { // the library returns with its first error, while it makes other containers
			time.Sleep(finishInterval)
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// finish lets the engine finish the containers that it is making, kills the engine's commands that run something in one, and has none begin: the library looks for the
// engine in PATH each time, and ends when it finds none.
func finish() {
	_ = os.Unsetenv("PATH") // it fails for names that are none
	for ; ; time.Sleep(finishInterval) {
		for _, pid := range proc.Children() {
			if !letFinish(pid) {
				_ = unix.Kill(pid, unix.SIGKILL) // it is ours until it is waited for, and may have ended
			}
		}
	}
}

// letFinish tells whether a child is a command of the engine that must be let finish, or has ended by now.
func letFinish(pid int) bool {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err != nil || unbroken(strings.Split(string(cmdline), "\x00"))
}

// unbroken tells whether a command line is one of the engine that must be let finish. The engine may be a script, whose command line has its shell before it.
func unbroken(argv []string) bool {
	at := slices.IndexFunc(argv, func(arg string) bool {
		name := filepath.Base(arg)
		return name == engine.Docker || name == engine.Podman
	})
	return at >= 0 && engine.Unbroken(argv[at+1:])
}

// finishInterval is how often finish looks for what was being started when it looked last.
const finishInterval = 20 * time.Millisecond

func create(in io.Reader, log log.Logger) error {
	var o order
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	which := cluster.ProviderWithDocker()
	if o.Engine == engine.Podman {
		which = cluster.ProviderWithPodman()
	}
	err := cluster.NewProvider(cluster.ProviderWithLogger(log), which).Create(o.Name,
		cluster.CreateWithRawConfig(o.Config), cluster.CreateWithKubeconfigPath(o.Kubeconfig),
		cluster.CreateWithRetain(true),    // we collect its logs, and clean up
		cluster.CreateWithWaitForReady(0), // kind's own wait calls a timeout success
		cluster.CreateWithDisplayUsage(false), cluster.CreateWithDisplaySalutation(false),
	)
	if run := exec.RunErrorForError(err); run != nil {
		return fmt.Errorf("%w\n%s", err, run.Output)
	}
	return err
}

// logger writes kind's progress, a line each.
type logger struct {
	mu  sync.Mutex
	out io.Writer
}

// verbosity is how much kind says: 0 is its progress, from 3 on the whole output of kubeadm.
const verbosity log.Level = 0

func (l *logger) write(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// What can't be written is nothing to fail for.
	_, _ = fmt.Fprintln(l.out, text)
}

func (l *logger) Warn(message string)               { l.write("WARNING: " + message) }
func (l *logger) Warnf(format string, args ...any)  { l.Warn(fmt.Sprintf(format, args...)) }
func (l *logger) Error(message string)              { l.write("ERROR: " + message) }
func (l *logger) Errorf(format string, args ...any) { l.Error(fmt.Sprintf(format, args...)) }
func (l *logger) V(level log.Level) log.InfoLogger  { return leveled{l, level} }
func (l *logger) Info(message string)               { l.write(message) }
func (l *logger) Infof(format string, args ...any)  { l.Info(fmt.Sprintf(format, args...)) }

// leveled says what is important enough.
type leveled struct {
	*logger
	level log.Level
}

func (l leveled) Enabled() bool { return l.level <= verbosity }

func (l leveled) Info(message string) {
	if l.Enabled() {
		l.write(message)
	}
}

func (l leveled) Infof(format string, args ...any) { l.Info(fmt.Sprintf(format, args...)) }
