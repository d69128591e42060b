package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killTimeout bounds the wait for a process that was killed: only one that hangs in the kernel outlives it.
const killTimeout = 5 * time.Second

// Command says what to start.
type Command struct {
	// Name is what logs and errors call the process: "kube-apiserver cp-1".
	Name string
	// Path is the executable. Empty means this binary itself.
	Path string
	// Args are its arguments, without the program's name.
	Args []string
	// Env is its complete environment. Nil means [Environment].
	Env []string
	// Dir is its working directory. Empty means ours.
	Dir string
	// Log is the file that stdout and stderr are appended to. Empty discards them.
	Log string
	// OnLine, when set, is called for each line of stdout and stderr, without its newline. The process
	// waits while it runs.
	OnLine func(line string)
	// Stdin, when set, is what the process reads. A read that doesn't return outlives the process.
	Stdin io.Reader
	// Stdout, when set, is written what the process writes to its stdout; Log, OnLine and the last lines then have its stderr only.
	Stdout io.Writer
	// TimerSlack is how much later than asked for the process's timers, and those of its children, may fire, so that the kernel wakes it less often: 0 is the kernel's 50 µs.
	// https://man7.org/linux/man-pages/man2/PR_SET_TIMERSLACK.2const.html
	TimerSlack time.Duration
	// Finish is how long the process may go on when it is stopped, or its supervisor dies, because what it does must not be left half done. Only then is it killed.
	Finish time.Duration
	// Warn, with Finish, tells the process, and not its group, that it is to finish (SIGTERM). Without, it is told nothing.
	Warn bool
}

// command is the command as os/exec wants it.
func (c Command) command(output *output) *exec.Cmd {
	cmd := selfCommand(c.Args)
	if c.Path != "" {
		cmd = exec.Command(c.Path, c.Args...) //nolint:noctx // it ends by Stop or with us, not with a context
	}
	cmd.Env = c.Env
	if c.Env == nil {
		cmd.Env = Environment()
	}
	cmd.Dir = c.Dir
	output.connect(cmd)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: c.deathSignal()}
	return cmd
}

// deathSignal is what the kernel sends it when its supervisor dies.
func (c Command) deathSignal() syscall.Signal {
	switch {
	case c.Finish == 0:
		return syscall.SIGKILL
	case c.Warn:
		return syscall.SIGTERM
	}
	return 0
}

// ExitError says how a process ended that did not exit with status 0.
type ExitError struct {
	// Name is the command's name.
	Name string
	// Status is the exit status, or -1 when a signal ended the process.
	Status int
	// Signal is the signal that ended the process, or 0.
	Signal syscall.Signal
	// LastLines are the last lines, at most 50, of what it wrote to stdout and stderr.
	LastLines []string
}

// Error is one line about the end, followed by the last lines of output, indented.
func (e *ExitError) Error() string {
	var b strings.Builder
	if e.Signal != 0 {
		fmt.Fprintf(&b, "process %q was ended by signal %d (%s)", e.Name, int(e.Signal), e.Signal)
	} else {
		fmt.Fprintf(&b, "process %q exited with status %d", e.Name, e.Status)
	}
	if len(e.LastLines) == 0 {
		b.WriteString(" and wrote nothing")
		return b.String()
	}
	fmt.Fprintf(&b, "; its last %d lines:", len(e.LastLines))
	for _, line := range e.LastLines {
		b.WriteString("\n    " + line)
	}
	return b.String()
}

// Process is a child process and the process group that it leads. When it ends, what is left of its group is killed.
type Process struct {
	supervisor   *Supervisor
	name         string
	cmd          *exec.Cmd
	output       *output
	registration string
	finish       time.Duration
	warn         bool

	mu     sync.Mutex // held while the group is signalled, so that its number is still its own
	reaped bool

	done chan struct{}
	err  error // set before done is closed
}

// PID is the number of the process and of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process is gone, with its group, and its output has been read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err tells how the process ended: nil for exit status 0, otherwise an [*ExitError]. Before Done it is nil.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Stop asks the group to end (SIGTERM), kills it when grace has passed or the context has ended, and waits until it is
// gone. A process that is to finish ([Command].Finish) has that time instead, whatever the context. It is no error when the process had ended before.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	ask := func() error { return p.signal(unix.SIGTERM) }
	if p.finish > 0 {
		ctx, grace = context.WithoutCancel(ctx), p.finish
		ask = p.warnLeader
	}
	if err := ask(); err != nil {
		return err
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return p.Kill()
}

// Kill kills the group (SIGKILL) and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.signal(unix.SIGKILL); err != nil {
		return err
	}
	timer := time.NewTimer(killTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("kill %q: process %d is still there after %s", p.name, p.PID(), killTimeout)
	}
}

// pauseTimeout is how long a process may take to stand still: one in the middle of a system call does when that is over.
const pauseTimeout = 5 * time.Second

// Pause stops the group in its tracks (SIGSTOP) until Resume, and looks whether it stands still.
func (p *Process) Pause() error {
	if err := p.signal(unix.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(pauseTimeout); ; time.Sleep(reapInterval) {
		stat, err := readStat(p.PID())
		switch {
		case err != nil || stat.dead:
			return fmt.Errorf("pause %q: it has ended", p.name)
		case stat.stopped:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("pause %q: process %d still runs after %s", p.name, p.PID(), pauseTimeout)
		}
	}
}

// Resume lets a paused group run again (SIGCONT).
func (p *Process) Resume() error { return p.signal(unix.SIGCONT) }

// signal signals the group. A group that is gone is no error.
func (p *Process) signal(signal syscall.Signal) error { return p.send(-p.PID(), signal) }

// warnLeader tells the process that it is to finish, if it wants to know.
func (p *Process) warnLeader() error {
	if !p.warn {
		return nil
	}
	return p.send(p.PID(), unix.SIGTERM)
}

// send sends a signal to the process, or, by a negative number, to its group.
func (p *Process) send(to int, signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return nil
	}
	if err := unix.Kill(to, signal); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %s to %q: %w", unix.SignalName(signal), p.name, err)
	}
	return nil
}

// wait waits for the end of the process and of its group.
func (p *Process) wait() {
	// First without reaping: as long as the leader is a zombie nobody else gets the group's number.
	for {
		err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_ = p.signal(unix.SIGKILL)
	p.mu.Lock()
	state, err := p.cmd.Process.Wait()
	p.reaped = true
	p.mu.Unlock()
	p.output.finish()
	p.supervisor.forget(p)
	p.err = p.exitError(state, err)
	close(p.done)
}

func (p *Process) exitError(state *os.ProcessState, err error) error {
	if err != nil {
		return fmt.Errorf("wait for %q: %w", p.name, err)
	}
	if state.Success() {
		return nil
	}
	e := &ExitError{Name: p.name, Status: state.ExitCode(), LastLines: p.output.last.lines()}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal()
	}
	return e
}
