package proc

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrClosed is returned for everything that is asked of a closed supervisor.
var ErrClosed = errors.New("the supervisor is closed")

// closeGrace is how long Close gives the processes that nobody stopped before.
const closeGrace = 3 * time.Second

// Supervisor starts child processes and makes temporary folders, and ends them all. There is one in a seatrial
// process, made by cmd and passed down. Its methods may be called from several goroutines.
type Supervisor struct {
	forks  chan fork     // to the one thread that forks
	closed chan struct{} // ends that thread
	reaper *exec.Cmd
	pipe   *os.File // registrations, read by the reaper

	mu        sync.Mutex
	closing   bool
	starting  sync.WaitGroup // Starts that saw closing == false
	processes map[*Process]struct{}
	dirs      map[string]struct{}
	undos     int // that were not forgotten
}

// fork is a request to the forking thread.
type fork struct {
	cmd   *exec.Cmd
	slack time.Duration // of its timers
	done  chan error
}

// NewSupervisor starts the reaper. The context bounds the start only; [Supervisor.Close] ends the supervisor.
// The program must have called [Dispatch] with [ReaperMain] before.
func NewSupervisor(ctx context.Context) (*Supervisor, error) {
	if !dispatched.Load() {
		return nil, fmt.Errorf("start the reaper: this program did not call proc.Dispatch with %q", ReaperEntry)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start the reaper: %w", err)
	}
	s := &Supervisor{
		forks:     make(chan fork),
		closed:    make(chan struct{}),
		processes: map[*Process]struct{}{},
		dirs:      map[string]struct{}{},
	}
	if err := s.startReaper(); err != nil {
		return nil, fmt.Errorf("start the reaper: %w", err)
	}
	go s.forkLoop()
	return s, nil
}

// startReaper starts this binary as the reaper: in a session of its own, because Ctrl-C goes to every process of the
// terminal's foreground group, and without PDEATHSIG, because it is the one child that outlives us.
func (s *Supervisor) startReaper() error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	s.reaper = selfCommand([]string{ReaperEntry})
	s.reaper.Env = Environment()
	s.reaper.Dir = "/"
	s.reaper.Stdin = read
	s.reaper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = s.reaper.Start()
	read.Close()
	if err != nil {
		write.Close()
		return err
	}
	s.pipe = write
	return nil
}

// selfCommand runs this binary, also when the file has been replaced since it was started.
func selfCommand(args []string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...) //nolint:noctx // it ends by Stop or with us, not with a context
	cmd.Args[0] = os.Args[0]
	return cmd
}

// forkLoop forks all children from one thread. PDEATHSIG is sent when the thread that forked dies, not
// when the process does, and the Go runtime ends threads as it likes; a locked one lives as long as its goroutine. A child also inherits the timer slack of the thread.
func (s *Supervisor) forkLoop() {
	runtime.LockOSThread()
	for {
		select {
		case f := <-s.forks:
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(f.slack.Nanoseconds()), 0, 0, 0) // where that can't be, a child is woken more often
			f.done <- f.cmd.Start()
		case <-s.closed:
			return // without unlocking: the thread ends, and with it whatever Close could not
		}
	}
}

// Start starts a process in a process group of its own. The context bounds the start, not the life of the process.
func (s *Supervisor) Start(ctx context.Context, c Command) (*Process, error) {
	if err := s.begin(ctx); err != nil {
		return nil, fmt.Errorf("start %q: %w", c.Name, err)
	}
	defer s.starting.Done()
	p, err := s.start(c)
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", c.Name, err)
	}
	return p, nil
}

// Run runs a process to its end. When the context ends before, the process is stopped, with this grace ([Process.Stop]). The error says how the process ended
// ([*ExitError]), or why it was stopped.
func (s *Supervisor) Run(ctx context.Context, c Command, grace time.Duration) error {
	p, err := s.Start(ctx, c)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
		return p.Err()
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("run %q: %w", c.Name, context.Cause(ctx)), p.Stop(context.WithoutCancel(ctx), grace))
	}
}

// begin holds Close off until starting.Done is called.
func (s *Supervisor) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrClosed
	}
	s.starting.Add(1)
	return nil
}

func (s *Supervisor) start(c Command) (*Process, error) {
	out, err := newOutput(c)
	if err != nil {
		return nil, err
	}
	cmd := c.command(out)
	f := fork{cmd: cmd, slack: c.TimerSlack, done: make(chan error, 1)}
	s.forks <- f
	if err := <-f.done; err != nil {
		out.abandon()
		return nil, err
	}
	p := &Process{supervisor: s, name: c.Name, cmd: cmd, output: out, finish: c.Finish, warn: c.Warn, done: make(chan struct{})}
	s.mu.Lock()
	s.processes[p] = struct{}{}
	s.mu.Unlock()
	// A group has no number before it exists; until the next line PDEATHSIG alone guards it, or that it ends by itself.
	p.registration, err = groupRegistration(cmd.Process.Pid, c.Finish)
	if err == nil {
		err = s.tellReaper("add-group", p.registration)
	}
	out.follow(c)
	go p.wait()
	if err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return p, nil
}

// groupRegistration names a process group so that another group, which got the same number later, isn't taken for it, and says how long it may go on.
func groupRegistration(pid int, finish time.Duration) (string, error) {
	stat, err := readStat(pid)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %d %d", pid, stat.started, finish.Milliseconds()), nil
}

// TempDir makes a private folder (0700) that is removed when the supervisor ends, however it ends. An empty parent
// means the system's temporary folder; a "*" in the pattern is replaced by a random string, as [os.MkdirTemp] does.
func (s *Supervisor) TempDir(parent, pattern string) (string, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return "", fmt.Errorf("make a temporary folder: %w", err)
	}
	if strings.ContainsRune(pattern, filepath.Separator) {
		return "", fmt.Errorf("make a temporary folder: pattern %q names a folder", pattern)
	}
	before, after, _ := strings.Cut(pattern, "*")
	dir := filepath.Join(parent, before+strings.ToLower(rand.Text())[:12]+after)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return "", fmt.Errorf("make a temporary folder: %w", ErrClosed)
	}
	// The reaper is told before the folder is there, and so it must be sure that it isn't somebody else's.
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("make a temporary folder: %q is there already", dir)
	}
	if err := s.tellReaper("add-dir", strconv.Quote(dir)); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", errors.Join(fmt.Errorf("make a temporary folder: %w", err), s.tellReaper("remove-dir", strconv.Quote(dir)))
	}
	s.dirs[dir] = struct{}{}
	if err := own(dir); err != nil {
		return "", errors.Join(fmt.Errorf("make a temporary folder: %w", err), s.removeDir(dir))
	}
	return dir, nil
}

// RemoveDir removes a folder that TempDir made.
func (s *Supervisor) RemoveDir(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removeDir(dir)
}

func (s *Supervisor) removeDir(dir string) error {
	if _, ok := s.dirs[dir]; !ok {
		return fmt.Errorf("remove temporary folder %q: this supervisor did not make it", dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove temporary folder: %w", err)
	}
	delete(s.dirs, dir)
	return s.tellReaper("remove-dir", strconv.Quote(dir))
}

// Undo has the reaper run this binary with an entry that [Dispatch] knows, should we die, or close, before forget is called (once): what is not a process or a folder
// of ours, as a container is, only a program can remove. The arguments together are shorter than 3 kB.
func (s *Supervisor) Undo(entry string, args ...string) (forget func() error, err error) {
	line, err := json.Marshal(append([]string{entry}, args...))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, ErrClosed
	}
	if err := s.tellReaper("add-undo", string(line)); err != nil {
		return nil, err
	}
	s.undos++
	return func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.undos--
		return s.tellReaper("remove-undo", string(line))
	}, nil
}

// tellReaper writes one registration. It is shorter than PIPE_BUF, so that writes don't mix.
func (s *Supervisor) tellReaper(verb, what string) error {
	if _, err := fmt.Fprintf(s.pipe, "%s %s\n", verb, what); err != nil {
		return fmt.Errorf("tell the reaper to %s %s: %w", verb, what, err)
	}
	return nil
}

// Close stops what still runs, removes the folders that are still there and ends the reaper. When the context ends
// first, what is left is killed, but for what is to finish. It may be called more than once.
func (s *Supervisor) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.closing = true
	s.mu.Unlock()
	s.starting.Wait()

	errs := s.stopAll(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	for dir := range s.dirs {
		errs = append(errs, s.removeDir(dir))
	}
	clean := len(s.processes) == 0 && len(s.dirs) == 0 && s.undos == 0
	if clean {
		errs = append(errs, s.tellReaper("done", ""))
	}
	// Without "done" the reaper takes over what could not be ended here.
	errs = append(errs, s.pipe.Close())
	if err := s.reaper.Wait(); err != nil {
		errs = append(errs, fmt.Errorf("end the reaper: %w", err))
	}
	close(s.closed)
	return errors.Join(errs...)
}

// stopAll stops the processes that are left, side by side.
func (s *Supervisor) stopAll(ctx context.Context) []error {
	s.mu.Lock()
	var left []*Process
	for p := range s.processes {
		left = append(left, p)
	}
	s.mu.Unlock()

	errs := make([]error, len(left))
	var wg sync.WaitGroup
	for i, p := range left {
		wg.Go(func() { errs[i] = p.Stop(ctx, closeGrace) })
	}
	wg.Wait()
	return errs
}

// forget is called when a process is gone.
func (s *Supervisor) forget(p *Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.processes, p)
	if p.registration != "" {
		// When the reaper is gone, Start and Close say so.
		_ = s.tellReaper("remove-group", p.registration)
	}
}
