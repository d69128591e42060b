package proc

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestEstateFollowsRegistrations(t *testing.T) {
	g := NewWithT(t)
	read := func(lines string) (estate, bool) {
		e := estate{groups: map[group]struct{}{}, dirs: map[string]struct{}{}}
		done := e.read(strings.NewReader(lines))
		return e, done
	}
	e, done := read("add-group 12 34\nadd-group 13 35\nremove-group 12 34\nadd-dir \"/tmp/a b\"\nadd-dir \"/tmp/c\\nd\"\nremove-dir \"/tmp/a b\"\n")
	g.Expect(done).To(BeFalse())
	g.Expect(e.groups).To(And(HaveLen(1), HaveKey(group{13, 35})))
	g.Expect(e.dirs).To(And(HaveLen(1), HaveKey("/tmp/c\nd")))

	_, done = read("add-group 12 34\ndone \n")
	g.Expect(done).To(BeTrue())

	e, _ = read("add-group 1 1\nadd-group -1 1\nadd-group x\nadd-dir /tmp\nadd-dir \"tmp\"\nnonsense\nadd-group 13 35")
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

	other := estate{groups: map[group]struct{}{{cmd.Process.Pid, stat.started + 1}: {}}}
	g.Expect(other.reap(time.Now().Add(time.Second))).To(Succeed())
	alive, err := readStat(cmd.Process.Pid)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(alive.dead).To(BeFalse())

	dir := t.TempDir() + "/state"
	g.Expect(os.Mkdir(dir, 0o700)).To(Succeed())
	own := estate{groups: map[group]struct{}{{cmd.Process.Pid, stat.started}: {}}, dirs: map[string]struct{}{dir: {}}}
	g.Expect(own.reap(time.Now().Add(time.Second))).To(Succeed())
	g.Expect(dir).NotTo(BeADirectory())
}

func TestSupervisorNeedsDispatch(t *testing.T) {
	g := NewWithT(t)
	defer dispatched.Store(dispatched.Load())
	dispatched.Store(false)
	_, err := NewSupervisor(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("proc.Dispatch")))
}
