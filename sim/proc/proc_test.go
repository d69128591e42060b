package proc_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/seatrial/seatrial/sim/proc"
)

func TestMain(m *testing.M) {
	proc.Dispatch(map[string]func([]string) int{
		proc.ReaperEntry: proc.ReaperMain,
		"_supervise":     supervise,
		"_status":        func(args []string) int { fmt.Println(args[0]); return 7 },
	})
	os.Exit(m.Run())
}

func newSupervisor(t *testing.T) *proc.Supervisor {
	t.Helper()
	s, err := proc.NewSupervisor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

func start(t *testing.T, s *proc.Supervisor, c proc.Command) *proc.Process {
	t.Helper()
	p, err := s.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shell is a script for the tests alone; seatrial starts no shell.
func shell(name, script string) proc.Command {
	return proc.Command{Name: name, Path: "/bin/sh", Args: []string{"-c", script}}
}

func gone(pid int) func() error {
	return func() error {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return nil
		}
		if fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:])); fields[0] != "Z" {
			return fmt.Errorf("process %d is there: %s", pid, data)
		}
		return nil
	}
}

func TestExitErrorHasStatusAndLastLines(t *testing.T) {
	g := NewWithT(t)
	c := shell("talker", "i=1; while [ $i -le 60 ]; do echo line $i >&2; i=$((i+1)); done; printf end; exit 3")
	c.Log = filepath.Join(t.TempDir(), "talker.log")
	var seen int
	c.OnLine = func(string) { seen++ }
	p := start(t, newSupervisor(t), c)
	g.Eventually(p.Done(), 5*time.Second).Should(BeClosed())

	var exit *proc.ExitError
	g.Expect(errors.As(p.Err(), &exit)).To(BeTrue())
	g.Expect(exit.Status).To(Equal(3))
	g.Expect(exit.LastLines).To(HaveLen(50))
	g.Expect(exit.LastLines[0]).To(Equal("line 12"))
	g.Expect(exit.LastLines[49]).To(Equal("end"))
	g.Expect(exit.Error()).To(HavePrefix(`process "talker" exited with status 3; its last 50 lines:` + "\n    line 12\n"))
	g.Expect(seen).To(Equal(61))
	log, err := os.ReadFile(c.Log)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(log)).To(And(HavePrefix("line 1\n"), HaveSuffix("line 60\nend")))
}

func TestExitErrorNamesTheSignal(t *testing.T) {
	g := NewWithT(t)
	p := start(t, newSupervisor(t), shell("sleeper", "sleep 60"))
	g.Expect(p.Err()).To(Succeed())
	g.Expect(p.Kill()).To(Succeed())
	var exit *proc.ExitError
	g.Expect(errors.As(p.Err(), &exit)).To(BeTrue())
	g.Expect(exit.Signal).To(Equal(syscall.SIGKILL))
	g.Expect(exit.Error()).To(Equal(`process "sleeper" was ended by signal 9 (killed) and wrote nothing`))
}

func TestDispatchRunsTheEntry(t *testing.T) {
	g := NewWithT(t)
	var lines []string
	c := proc.Command{Name: "status", Args: []string{"_status", "hello"}, OnLine: func(l string) { lines = append(lines, l) }}
	p := start(t, newSupervisor(t), c)
	g.Eventually(p.Done(), 5*time.Second).Should(BeClosed())
	var exit *proc.ExitError
	g.Expect(errors.As(p.Err(), &exit)).To(BeTrue())
	g.Expect(exit.Status).To(Equal(7))
	g.Expect(lines).To(Equal([]string{"hello"}))
}

func TestChildGetsOnlyTheAllowedEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	g := NewWithT(t)
	var mu sync.Mutex
	var lines []string
	p := start(t, newSupervisor(t), proc.Command{Name: "env", Path: "/usr/bin/env", OnLine: func(l string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, l)
	}})
	g.Eventually(p.Done(), 5*time.Second).Should(BeClosed())
	mu.Lock()
	defer mu.Unlock()
	g.Expect(lines).To(ContainElement(HavePrefix("PATH=")))
	g.Expect(lines).NotTo(ContainElement(ContainSubstring("hush")))
}

// waitLine gives the command a channel that is closed at its first line.
func waitLine(c *proc.Command) <-chan struct{} {
	seen := make(chan struct{})
	var once sync.Once
	c.OnLine = func(string) { once.Do(func() { close(seen) }) }
	return seen
}

// TestTimerSlack: a child has the slack that is asked for, and the next one ours again.
func TestTimerSlack(t *testing.T) {
	s := newSupervisor(t)
	ours, err := os.ReadFile("/proc/self/timerslack_ns")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		slack time.Duration
		want  string
	}{{3 * time.Millisecond, "3000000"}, {0, strings.TrimSpace(string(ours))}} {
		var got bytes.Buffer
		c := proc.Command{Name: "cat", Path: "/bin/cat", Args: []string{"/proc/self/timerslack_ns"}, TimerSlack: test.slack, Stdout: &got}
		if err := s.Run(t.Context(), c, 0); err != nil || strings.TrimSpace(got.String()) != test.want {
			t.Errorf("with %s its timers have a slack of %q ns, want %s (%v)", test.slack, got.String(), test.want, err)
		}
	}
}

func TestStopEscalates(t *testing.T) {
	g := NewWithT(t)
	c := shell("stubborn", `trap "" TERM; echo ready; while :; do sleep 1; done`)
	ready := waitLine(&c)
	p := start(t, newSupervisor(t), c)
	g.Eventually(ready, 5*time.Second).Should(BeClosed())
	g.Expect(p.Stop(t.Context(), 100*time.Millisecond)).To(Succeed())
	var exit *proc.ExitError
	g.Expect(errors.As(p.Err(), &exit)).To(BeTrue())
	g.Expect(exit.Signal).To(Equal(syscall.SIGKILL))
	g.Expect(p.Stop(t.Context(), time.Second)).To(Succeed(), "stopping twice")
}

func TestStopIsGentle(t *testing.T) {
	g := NewWithT(t)
	c := shell("gentle", `trap "exit 0" TERM; echo ready; while :; do sleep 0.05; done`)
	ready := waitLine(&c)
	p := start(t, newSupervisor(t), c)
	g.Eventually(ready, 5*time.Second).Should(BeClosed())
	g.Expect(p.Stop(t.Context(), 10*time.Second)).To(Succeed())
	g.Expect(p.Err()).To(Succeed())
}

func TestPauseAndResume(t *testing.T) {
	g := NewWithT(t)
	p := start(t, newSupervisor(t), shell("sleeper", "exec sleep 60"))
	state := func() string {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
		return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))[0]
	}
	g.Expect(p.Pause()).To(Succeed())
	g.Eventually(state, 5*time.Second).Should(Equal("T"))
	g.Expect(p.Resume()).To(Succeed())
	g.Eventually(state, 5*time.Second).Should(Equal("S"))
}

func TestEndOfTheLeaderEndsTheGroup(t *testing.T) {
	g := NewWithT(t)
	c := shell("leader", "sleep 60 & echo $!; exit 0")
	var pid int
	c.OnLine = func(line string) { pid, _ = strconv.Atoi(line) }
	p := start(t, newSupervisor(t), c)
	g.Eventually(p.Done(), 5*time.Second).Should(BeClosed())
	g.Expect(pid).NotTo(BeZero())
	g.Eventually(gone(pid), 5*time.Second).Should(Succeed())
}

func TestStartErrors(t *testing.T) {
	g := NewWithT(t)
	s := newSupervisor(t)
	_, err := s.Start(t.Context(), proc.Command{Name: "nothing", Path: "/does/not/exist"})
	g.Expect(err).To(MatchError(os.ErrNotExist))
	g.Expect(err).To(MatchError(ContainSubstring(`start "nothing"`)))
	_, err = s.Start(t.Context(), proc.Command{Name: "logless", Path: "/bin/true", Log: "/does/not/exist"})
	g.Expect(err).To(MatchError(os.ErrNotExist))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Start(canceled, proc.Command{Name: "late", Path: "/bin/true"})
	g.Expect(err).To(MatchError(context.Canceled))
}

func TestCloseEndsEverything(t *testing.T) {
	g := NewWithT(t)
	s, err := proc.NewSupervisor(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	p := start(t, s, shell("sleeper", "sleep 60"))
	dir, err := s.TempDir(t.TempDir(), "state-*")
	g.Expect(err).NotTo(HaveOccurred())
	info, err := os.Stat(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o700)))

	g.Expect(s.Close(t.Context())).To(Succeed())
	g.Expect(p.Done()).To(BeClosed())
	g.Expect(dir).NotTo(BeADirectory())
	_, err = s.Start(t.Context(), shell("late", "true"))
	g.Expect(err).To(MatchError(proc.ErrClosed))
	_, err = s.TempDir("", "late-*")
	g.Expect(err).To(MatchError(proc.ErrClosed))
	g.Expect(s.Close(t.Context())).To(Succeed(), "closing twice")
}

func TestRemoveDirRemovesOnlyItsOwn(t *testing.T) {
	g := NewWithT(t)
	s := newSupervisor(t)
	other := t.TempDir()
	g.Expect(s.RemoveDir(other)).To(MatchError(ContainSubstring("did not make it")))
	g.Expect(other).To(BeADirectory())
	dir, err := s.TempDir(t.TempDir(), "state-*")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.RemoveDir(dir)).To(Succeed())
	g.Expect(dir).NotTo(BeADirectory())
}

// supervise is seatrial in TestNothingOutlivesUs: it starts a child with a child of its own, and waits to be killed.
func supervise(args []string) int {
	ctx := context.Background()
	s, err := proc.NewSupervisor(ctx)
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	dir, err := s.TempDir(args[0], "state-*")
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	c := shell("parent", `trap "" TERM INT HUP; sleep 60 & echo $!; while :; do echo x >"$0/file"; done`)
	c.Args = append(c.Args, dir)
	lines := make(chan string, 1)
	c.OnLine = func(line string) { lines <- line }
	p, err := s.Start(ctx, c)
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println(p.PID(), <-lines, dir)
	<-p.Done()
	return 1
}

// TestStopLetsFinish: a process that must not be broken off goes on when its context ends. One that wants to know is told, and its group isn't.
func TestStopLetsFinish(t *testing.T) {
	for want, warn := range map[string]bool{"begun finished": false, "begun told finished": true} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			s := newSupervisor(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			command := shell("finisher", "trap 'echo told' TERM; echo begun; sleep 0.5; echo finished")
			command.Finish, command.Warn = 10*time.Second, warn
			var said []string
			command.OnLine = func(line string) {
				said = append(said, line)
				cancel()
			}
			g.Expect(s.Run(ctx, command, 0)).To(MatchError(context.Canceled))
			g.Expect(strings.Join(said, " ")).To(Equal(want))
		})
	}
}

func TestNothingOutlivesUs(t *testing.T) {
	g := NewWithT(t)
	cmd := exec.Command(os.Args[0], "_supervise", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cmd.Start()).To(Succeed())
	line, err := bufio.NewReader(out).ReadString('\n')
	g.Expect(err).NotTo(HaveOccurred())
	var child, grandchild int
	var dir string
	_, err = fmt.Sscan(line, &child, &grandchild, &dir)
	g.Expect(err).NotTo(HaveOccurred(), line)
	g.Expect(dir).To(BeADirectory())

	// The whole group, as a terminal signals it: the reaper is in a session of its own.
	g.Expect(unix.Kill(-cmd.Process.Pid, unix.SIGKILL)).To(Succeed())
	_ = cmd.Wait()
	g.Eventually(gone(child), proc.ReapTimeout).Should(Succeed())
	g.Eventually(gone(grandchild), proc.ReapTimeout).Should(Succeed())
	g.Eventually(func() error {
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is there: %w", dir, err)
		}
		return nil
	}, proc.ReapTimeout).Should(Succeed())
}
