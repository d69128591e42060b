package proc

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestEstateFollowsRegistrations(t *testing.T) {
	g := NewWithT(t)
	read := func(lines string) (estate, bool) {
		e := estate{groups: map[group]time.Duration{}, dirs: map[string]struct{}{}}
		done := e.read(strings.NewReader(lines))
		return e, done
	}
	e, done := read("add-group 12 34 0\nadd-group 13 35 250\nremove-group 12 34 0\nadd-dir \"/tmp/a b\"\nadd-dir \"/tmp/c\\nd\"\nremove-dir \"/tmp/a b\"\n")
	g.Expect(done).To(BeFalse())
	g.Expect(e.groups).To(And(HaveLen(1), HaveKeyWithValue(group{13, 35}, 250*time.Millisecond)))
	g.Expect(e.dirs).To(And(HaveLen(1), HaveKey("/tmp/c\nd")))

	_, done = read("add-group 12 34 0\ndone \n")
	g.Expect(done).To(BeTrue())

	e, _ = read("add-group 1 1 0\nadd-group -1 1 0\nadd-group 12 34\nadd-group x\nadd-dir /tmp\nadd-dir \"tmp\"\nnonsense\nadd-group 13 35")
	g.Expect(e.groups).To(BeEmpty(), "groups that must not be killed, and a line cut off by our death")
	g.Expect(e.dirs).To(BeEmpty())
}

func TestReapSparesAReusedNumber(t *testing.T) {
	g := NewWithT(t)
	cmd := exec.Command("/bin/sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.Expect(cmd.Start()).To(Succeed())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	stat, err := readStat(cmd.Process.Pid)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stat.group).To(Equal(cmd.Process.Pid))

	other := estate{groups: map[group]time.Duration{{cmd.Process.Pid, stat.started + 1}: 0}}
	g.Expect(other.reap()).To(Succeed())
	alive, err := readStat(cmd.Process.Pid)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(alive.dead).To(BeFalse())

	dir := t.TempDir() + "/state"
	g.Expect(os.Mkdir(dir, 0o700)).To(Succeed())
	own := estate{groups: map[group]time.Duration{{cmd.Process.Pid, stat.started}: 0}, dirs: map[string]struct{}{dir: {}}}
	g.Expect(own.reap()).To(Succeed())
	g.Expect(dir).NotTo(BeADirectory())
}

// TestReapLetsFinish: what must not be left half done is waited for, and killed when its time is over.
func TestReapLetsFinish(t *testing.T) {
	g := NewWithT(t)
	finished := filepath.Join(t.TempDir(), "finished")
	e := estate{groups: map[group]time.Duration{}}
	for script, finish := range map[string]time.Duration{"sleep 0.2; touch " + finished: 10 * time.Second, "sleep 60": 400 * time.Millisecond} {
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		g.Expect(cmd.Start()).To(Succeed())
		defer func() { _ = cmd.Wait() }()
		stat, err := readStat(cmd.Process.Pid)
		g.Expect(err).NotTo(HaveOccurred())
		e.groups[group{cmd.Process.Pid, stat.started}] = finish
	}
	began := time.Now()
	g.Expect(e.reap()).To(Succeed())
	g.Expect(time.Since(began)).To(And(BeNumerically(">=", 400*time.Millisecond), BeNumerically("<", 3*time.Second)), "until the last one is gone, and no longer")
	g.Expect(finished).To(BeAnExistingFile())
}

func TestSupervisorNeedsDispatch(t *testing.T) {
	g := NewWithT(t)
	defer dispatched.Store(dispatched.Load())
	dispatched.Store(false)
	_, err := NewSupervisor(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("proc.Dispatch")))
}
