package proc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ReapTimeout is how long after the death of a supervisor something of it may still be there.
const ReapTimeout = 5 * time.Second

// reapInterval is how often the reaper looks whether what it killed is gone.
const reapInterval = 20 * time.Millisecond

// group is a process group: the number of its leader and when that was started, in clock ticks since boot.
type group struct {
	pid     int
	started uint64
}

// estate is what a supervisor leaves when it dies.
type estate struct {
	groups map[group]time.Duration // how long each may go on
	dirs   map[string]struct{}
	undos  map[string]struct{} // command lines of this binary, as JSON
}

// ReaperMain is the entry "_reaper". It reads registrations from stdin, one a line (a path quoted as Go does):
//
//	add-group PID STARTED FINISH
//	remove-group PID STARTED FINISH
//	add-dir "PATH"
//	remove-dir "PATH"
//	add-undo ["ENTRY","ARGUMENT",…]
//	remove-undo ["ENTRY","ARGUMENT",…]
//	done
//
// and exits with 0 on "done". When stdin ends before, the supervisor is dead: it kills the groups (after FINISH, in milliseconds), runs what undoes the rest, removes the
// folders, and exits with 0 when all of it is gone, otherwise with 1.
func ReaperMain([]string) int {
	// Whoever asks seatrial to end asks the supervisor. The reaper ends after it.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE)
	left := estate{groups: map[group]time.Duration{}, dirs: map[string]struct{}{}, undos: map[string]struct{}{}}
	if left.read(os.Stdin) {
		return 0
	}
	if err := left.reap(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// read follows the registrations and says whether the last was "done".
func (e *estate) read(registrations io.Reader) (done bool) {
	reader := bufio.NewReader(registrations)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return false
		}
		verb, what, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if verb == "done" {
			return true
		}
		e.register(verb, what)
	}
}

// register follows one registration. One that it does not understand is passed over: there is nobody to tell, and
// what the others name must be removed all the same.
func (e *estate) register(verb, what string) {
	var g group
	var finish int
	switch verb {
	case "add-group", "remove-group":
		if n, err := fmt.Sscanf(what, "%d %d %d", &g.pid, &g.started, &finish); n != 3 || err != nil || g.pid <= 1 {
			return
		}
	case "add-dir", "remove-dir":
		dir, err := strconv.Unquote(what)
		if err != nil || !filepath.IsAbs(dir) {
			return
		}
		what = dir
	}
	switch verb {
	case "add-group":
		e.groups[g] = time.Duration(finish) * time.Millisecond
	case "remove-group":
		delete(e.groups, g)
	case "add-dir":
		e.dirs[what] = struct{}{}
	case "remove-dir":
		delete(e.dirs, what)
	case "add-undo":
		e.undos[what] = struct{}{}
	case "remove-undo":
		delete(e.undos, what)
	}
}

// reap kills the groups, waits until they are gone, and only then removes the folders, because a dying process may still
// write to them.
func (e *estate) reap() error {
	patience := ReapTimeout
	for _, finish := range e.groups {
		patience = max(patience, finish+ReapTimeout)
	}
	for began := time.Now(); ; {
		alive := e.kill(time.Since(began))
		if alive == 0 {
			break
		}
		if time.Since(began) > patience {
			return errors.Join(fmt.Errorf("%d process groups are still there", alive), e.undo(), e.removeDirs())
		}
		time.Sleep(reapInterval)
	}
	return errors.Join(e.undo(), e.removeDirs())
}

// undoTimeout bounds what undoes the rest. It is longer than [ReapTimeout], which is kept where the machine is not busy: late is better than never.
const undoTimeout = 2 * time.Minute

// undo runs what undoes the rest, side by side, each a process of its own.
func (e *estate) undo() error {
	ctx, cancel := context.WithTimeout(context.Background(), undoTimeout)
	defer cancel()
	var running sync.WaitGroup
	errs := make(chan error, len(e.undos))
	for line := range e.undos {
		running.Go(func() {
			var args []string
			if err := json.Unmarshal([]byte(line), &args); err != nil {
				errs <- err
				return
			}
			cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
			cmd.Stderr = os.Stderr
			errs <- cmd.Run()
		})
	}
	running.Wait()
	close(errs)
	var failed []error
	for err := range errs {
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// kill kills the groups, but for those that may go on for longer than their supervisor has been dead, and counts all that are still there.
func (e *estate) kill(dead time.Duration) (alive int) {
	members := groupMembers()
	for g, finish := range e.groups {
		if stat, err := readStat(g.pid); err == nil && stat.started != g.started {
			continue // the number has been given to another process, which takes that all of ours are gone
		}
		if members[g.pid] == 0 {
			continue
		}
		if dead >= finish {
			_ = unix.Kill(-g.pid, unix.SIGKILL)
		}
		alive++
	}
	return alive
}

func (e *estate) removeDirs() error {
	var errs []error
	for dir := range e.dirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// groupMembers counts the living processes of each process group.
func groupMembers() map[int]int {
	members := map[int]int{}
	for _, stat := range living() {
		members[stat.group]++
	}
	return members
}

// Children are the numbers of the living processes that this process has started.
func Children() []int {
	var children []int
	for pid, stat := range living() {
		if stat.parent == os.Getpid() {
			children = append(children, pid)
		}
	}
	return children
}

// living is what /proc says of each process that lives.
func living() map[int]stat {
	found := map[int]stat{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if stat, err := readStat(pid); err == nil && !stat.dead {
			found[pid] = stat
		}
	}
	return found
}

// stat is what /proc/PID/stat says, see proc_pid_stat(5).
type stat struct {
	parent  int
	group   int
	started uint64 // clock ticks since boot
	dead    bool   // a zombie holds no files and runs nothing
	stopped bool   // by a signal
}

func readStat(pid int) (stat, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	// The second field is the program's name in parentheses, and may have spaces and parentheses in it.
	name := strings.LastIndexByte(string(data), ')')
	fields := strings.Fields(string(data[name+1:]))
	if name < 0 || len(fields) < 20 {
		return stat{}, fmt.Errorf("read %s: %q", path, data)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return stat{}, fmt.Errorf("read %s: %w", path, err)
	}
	group, err := strconv.Atoi(fields[2])
	if err != nil {
		return stat{}, fmt.Errorf("read %s: %w", path, err)
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("read %s: %w", path, err)
	}
	return stat{parent: parent, group: group, started: started, dead: slices.Contains([]string{"Z", "X"}, fields[0]), stopped: fields[0] == "T"}, nil
}
