// Package e2e tests whole rehearsals through the binary: every scenario, what
// is left when a run is killed, and that a recording can be judged again.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// top is the root of the repository; seatrial is the binary under test.
var top, seatrial string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "seatrial-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	top, err = filepath.Abs("../..")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	seatrial = filepath.Join(dir, "seatrial")
	build := exec.Command("go", "build", "-trimpath", "-o", seatrial, "./cmd/seatrial")
	build.Dir, build.Env = top, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build seatrial: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// berth is where one test runs seatrial: with a temporary folder of its own, which is also how its processes are known.
type berth struct {
	*WithT
	tmp, runs string
}

func newBerth(t *testing.T) *berth {
	b := &berth{WithT: NewWithT(t), tmp: t.TempDir(), runs: t.TempDir()}
	t.Cleanup(func() { b.nothingLeft(5 * time.Second) })
	return b
}

// command makes a seatrial command line. Everything that it starts inherits TMPDIR, whose value is this berth's.
func (b *berth) command(ctx context.Context, args ...string) (*exec.Cmd, *bytes.Buffer) {
	c := exec.CommandContext(ctx, seatrial, args...)
	c.Dir = top
	c.Env = append(os.Environ(), "TMPDIR="+b.tmp)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	return c, &out
}

func (b *berth) run(args ...string) (string, int) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	c, out := b.command(ctx, args...)
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.Expect(err).NotTo(HaveOccurred())
	}
	return out.String(), c.ProcessState.ExitCode()
}

// processes lists what this berth's live processes are: the program's name and its first argument.
func (b *berth) processes() []string {
	var found []string
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		environ, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(environ, []byte("TMPDIR="+b.tmp+"\x00")) {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err == nil && len(cmdline) > 0 { // a zombie has none
			argv := strings.SplitN(string(cmdline), "\x00", 3)
			found = append(found, filepath.Base(argv[0])+" "+argv[1])
		}
	}
	return found
}

// nothingLeft is the promise: no process, and so no port, and no temporary folder.
func (b *berth) nothingLeft(within time.Duration) {
	b.Eventually(b.processes, within, 50*time.Millisecond).Should(BeEmpty())
	b.Eventually(func() ([]string, error) { return filepath.Glob(filepath.Join(b.tmp, "*")) }, time.Second, 50*time.Millisecond).Should(BeEmpty())
}

// TestScenarios runs every scenario, good and bad, against what it expects.
func TestScenarios(t *testing.T) {
	b := newBerth(t)
	out, status := b.run("test", "--runs", b.runs, "scenarios")
	t.Log(out)
	b.Expect(status).To(Equal(0))
	b.Expect(out).To(MatchRegexp(`(?m)^\d+ passed, 0 failed$`))
}

// TestRecordingIsEvidence judges one recording again, with the same policies, with one more, and after somebody touched it.
func TestRecordingIsEvidence(t *testing.T) {
	b := newBerth(t)
	_, status := b.run("run", "--runs", b.runs, "scenarios/known-bad/left-cordoned")
	b.Expect(status).To(Equal(1))
	runs, err := filepath.Glob(filepath.Join(b.runs, "*"))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(runs).To(HaveLen(1))
	folder := runs[0]
	for _, name := range []string{"scenario.yaml", "plan.json", "journal.jsonl", "trace.jsonl", "findings.json", "verdict.json", "report.json", "junit.xml", "summary.md", "cluster"} {
		b.Expect(filepath.Join(folder, name)).To(BeAnExistingFile())
	}
	recorded, err := os.ReadFile(filepath.Join(folder, "findings.json"))
	b.Expect(err).NotTo(HaveOccurred())

	again, status := b.run("judge", "-o", "findings", folder)
	b.Expect(status).To(Equal(1))
	b.Expect(again).To(Equal(string(recorded)), "judging again gives the same bytes")

	stricter, status := b.run("judge", "-o", "findings", "--policies", "test/e2e/testdata/policies", folder)
	b.Expect(status).To(Equal(1))
	b.Expect(stricter).To(ContainSubstring("house/no_cordon"), "another policy gives other findings")
	b.Expect(stricter).NotTo(Equal(string(recorded)))

	trace := filepath.Join(folder, "trace.jsonl")
	content, err := os.ReadFile(trace)
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(string(content)).NotTo(ContainSubstring("PRIVATE KEY"))
	b.Expect(os.WriteFile(trace, bytes.Replace(content, []byte(`"existing"`), []byte(`"modified"`), 1), 0o644)).To(Succeed())
	out, status := b.run("judge", folder)
	b.Expect(status).To(Equal(4))
	b.Expect(out).To(ContainSubstring("trace.jsonl"))
}

// TestKilled kills seatrial with SIGKILL at moments all over a run. Five seconds later nothing is left.
func TestKilled(t *testing.T) {
	for _, moment := range []string{"_reaper", "_etcd", "kube-apiserver", "kube-scheduler", "op objects", "op drain"} {
		t.Run(moment, func(t *testing.T) {
			b := newBerth(t)
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			c, out := b.command(ctx, "run", "--runs", b.runs, "scenarios/drain-web")
			b.Expect(c.Start()).To(Succeed())
			b.Eventually(func() bool { return b.reached(moment) }, time.Minute, 5*time.Millisecond).Should(BeTrue(), "never came to %s: %s", moment, out)
			b.Expect(c.Process.Kill()).To(Succeed())
			_ = c.Wait()
			b.nothingLeft(5 * time.Second)
		})
	}
}

// reached tells whether a run has come to a moment: a process is there, or an op has begun.
func (b *berth) reached(moment string) bool {
	if op, ok := strings.CutPrefix(moment, "op "); ok {
		journals, _ := filepath.Glob(filepath.Join(b.runs, "*", "journal.jsonl"))
		for _, path := range journals {
			content, err := os.ReadFile(path)
			if err == nil && strings.Contains(string(content), `"op":"`+op) {
				return true
			}
		}
		return false
	}
	for _, p := range b.processes() {
		if name, first, _ := strings.Cut(p, " "); name == moment || first == moment {
			return true
		}
	}
	return false
}

// TestInterrupted presses Ctrl-C in the middle of a drain: the run cleans up, reports, and exits 130.
func TestInterrupted(t *testing.T) {
	b := newBerth(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, out := b.command(ctx, "run", "--runs", b.runs, "scenarios/known-bad/budget-allows-nothing-drained")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.Expect(c.Start()).To(Succeed())
	b.Eventually(func() bool { return b.reached("op drain/drain") }, time.Minute, 5*time.Millisecond).Should(BeTrue())
	b.Expect(syscall.Kill(-c.Process.Pid, syscall.SIGINT)).To(Succeed(), "the terminal signals the whole foreground group")
	_ = c.Wait()
	b.Expect(c.ProcessState.ExitCode()).To(Equal(130), out.String())
	reports, err := filepath.Glob(filepath.Join(b.runs, "*", "junit.xml"))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(reports).To(HaveLen(1), "every format is written on every way out")
	b.Expect(out.String()).To(ContainSubstring("interrupted"))
}

// TestSideBySide runs two rehearsals at once: names, ports and folders apart.
func TestSideBySide(t *testing.T) {
	b := newBerth(t)
	statuses := make(chan int, 2)
	for range 2 {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			c, _ := b.command(ctx, "run", "--runs", b.runs, "scenarios/drain-web")
			_ = c.Run()
			statuses <- c.ProcessState.ExitCode()
		}()
	}
	b.Expect([]int{<-statuses, <-statuses}).To(Equal([]int{0, 0}))
}
