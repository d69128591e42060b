// Package e2e tests whole rehearsals through the binary: every scenario, what
// is left when a run is killed, and that a recording can be judged again.
package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/run"
	"github.com/seatrial/seatrial/test/berth"
)

func TestMain(m *testing.M) { os.Exit(berth.Main(m)) }

// TestScenarios runs every scenario, good and bad, against what it expects.
func TestScenarios(t *testing.T) {
	others, _ := scenarios(t)
	// Those that restore etcd wait for components that end without an API, and for leases of leaders that are dead: begun first, they take little of the others' time.
	later := func(name string) int {
		if base := filepath.Base(name); strings.HasPrefix(base, "restore") || strings.HasPrefix(base, "backup") {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(others, func(a, b string) int { return cmp.Compare(later(a), later(b)) })
	expected(t, 3, append([]string{"--parallel", "3"}, others...)...) // drain-ha-disk-full takes nodes with disks of their own, and a CronJob pods that run
}

// TestUpgrades runs those that upgrade, and those whose certificates expire. They mostly wait, and so run side by side, and beside TestResumed.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	_, upgrades := scenarios(t)
	if out, status := berth.New(t).Run("release", "list"); status != 0 || !strings.Contains(out, "v1.35.") {
		t.Run("v1.35", func(t *testing.T) {
			t.Skip("SKIP: two minors at once: the store has no Kubernetes v1.35; `make releases` gets it")
		})
		upgrades = slices.DeleteFunc(upgrades, func(name string) bool { return slices.Contains(toThird, name) })
	}
	slices.SortStableFunc(upgrades, func(a, b string) int { // the longest first
		return cmp.Compare(slices.Index(expiring, b), slices.Index(expiring, a))
	})
	b := expected(t, 1, append([]string{"--parallel", "4"}, upgrades...)...) // upgrade-disk-full takes nodes with disks of their own
	took := map[string]time.Duration{}
	for _, folder := range b.RunFolders() {
		content, err := os.ReadFile(filepath.Join(folder, "verdict.json"))
		b.Expect(err).NotTo(HaveOccurred())
		var s run.Summary
		b.Expect(json.Unmarshal(content, &s)).To(Succeed())
		took[s.Scenario] = s.Ended.Sub(s.Started)
	}
	for _, name := range upgrades {
		if slices.Contains(expiring, name) {
			b.Expect(took).To(HaveKeyWithValue(filepath.Base(name), BeNumerically("<", 5*time.Minute)))
		}
	}
}

// toThird are the scenarios that take a third release. CI does without where it has to build them all.
var toThird = []string{"scenarios/upgrade-two-minors", "scenarios/known-bad/upgrade-kubeadm-too-new"}

// failures are the lines of the scenarios that failed, with what was found of them: progress is in between, and the end of a log is what is read.
var failures = regexp.MustCompile(`(?m)^FAIL .*\n(      .*\n)*`)

// expected runs scenarios against what they expect. No key, token or certificate body is in what the runs leave, though some read all of them and make new ones; [berth.Berth.Secrets] says what is looked for.
func expected(t *testing.T, skipped int, args ...string) *berth.Berth {
	t.Helper()
	b := berth.New(t)
	out, status := b.Run(append([]string{"test", "--runs", b.Runs}, args...)...)
	t.Log(out)
	b.Expect(status).To(Equal(0), strings.Join(failures.FindAllString(out, -1), ""))
	b.Expect(out).To(MatchRegexp(`(?m)^\d+ passed, 0 failed, %d skipped$`, skipped))
	b.Expect(b.RunFolders()).NotTo(BeEmpty(), "there is something to search")
	for _, folder := range b.RunFolders() {
		b.Expect(b.Secrets(folder)).To(BeEmpty())
	}
	return b
}

// expiring are scenarios that wait until certificates expire.
var expiring = []string{"scenarios/expiry-survived", "scenarios/known-bad/certs-not-restarted", "scenarios/known-bad/certs-stale-admin-conf", "scenarios/known-bad/certs-kubelet-expired"}

// scenarios lists the folders of scenarios, those that upgrade or wait for an expiry apart.
func scenarios(t *testing.T) (others, upgrades []string) {
	t.Helper()
	for _, pattern := range []string{"scenarios/*", "scenarios/known-bad/*"} {
		found, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no scenarios like %q: %v", pattern, err)
		}
		for _, path := range found {
			name := filepath.Join(filepath.Dir(pattern), filepath.Base(path))
			switch {
			case name == "scenarios/known-bad":
			case strings.HasPrefix(filepath.Base(path), "upgrade") || slices.Contains(expiring, name):
				upgrades = append(upgrades, name)
			default:
				others = append(others, name)
			}
		}
	}
	return others, upgrades
}

// TestUnknownVersion: an upgrade to a version that the store can't get ends before there is a cluster, is not green, and says which version.
func TestUnknownVersion(t *testing.T) {
	b := berth.New(t)
	out, status := b.Run("run", "--runs", b.Runs, "test/e2e/testdata/unknown-version")
	b.Expect(status).To(Equal(3), out)
	b.Expect(out).To(ContainSubstring(`op "cluster/prepare": get release "v1.35.99"`))
	b.Expect(b.Reached("op cluster/create")).To(BeFalse())
}

// TestRecordingIsEvidence judges one recording again, with the same policies, with one more, and after somebody touched it.
func TestRecordingIsEvidence(t *testing.T) {
	b := berth.New(t)
	_, status := b.Run("run", "--runs", b.Runs, "scenarios/known-bad/left-cordoned")
	b.Expect(status).To(Equal(1))
	runs := b.RunFolders()
	b.Expect(runs).To(HaveLen(1))
	folder := runs[0]
	for _, name := range []string{"scenario.yaml", "plan.json", "journal.jsonl", "trace.jsonl", "findings.json", "verdict.json", "report.json", "junit.xml", "summary.md", "cluster"} {
		b.Expect(filepath.Join(folder, name)).To(BeAnExistingFile())
	}
	recorded, err := os.ReadFile(filepath.Join(folder, "findings.json"))
	b.Expect(err).NotTo(HaveOccurred())

	again, status := b.Run("judge", "-o", "findings", folder)
	b.Expect(status).To(Equal(1))
	b.Expect(again).To(Equal(string(recorded)), "judging again gives the same bytes")

	stricter, status := b.Run("judge", "-o", "findings", "--policies", "test/e2e/testdata/policies", folder)
	b.Expect(status).To(Equal(1))
	b.Expect(stricter).To(ContainSubstring("house/no_cordon"), "another policy gives other findings")
	b.Expect(stricter).NotTo(Equal(string(recorded)))

	trace := filepath.Join(folder, "trace.jsonl")
	content, err := os.ReadFile(trace)
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(string(content)).NotTo(ContainSubstring("PRIVATE KEY"))
	b.Expect(os.WriteFile(trace, bytes.Replace(content, []byte(`"existing"`), []byte(`"modified"`), 1), 0o644)).To(Succeed())
	out, status := b.Run("judge", folder)
	b.Expect(status).To(Equal(4))
	b.Expect(out).To(ContainSubstring("trace.jsonl"))
}

// TestKilled kills seatrial with SIGKILL at moments all over a run. Five seconds later nothing is left.
func TestKilled(t *testing.T) {
	for _, moment := range []string{"_reaper", "_etcd", "kube-apiserver", "kube-scheduler", "op objects", "op drain"} {
		t.Run(moment, func(t *testing.T) {
			b := berth.New(t)
			b.Kill(func() bool { return b.Reached(moment) }, "run", "--runs", b.Runs, "scenarios/drain-web")
			b.NothingLeft(5 * time.Second)
		})
	}
}

// TestResumed kills an upgrade with SIGKILL after each of its operations, and resumes it each time: it ends as it would have, and does nothing twice.
func TestResumed(t *testing.T) {
	t.Parallel()
	b := berth.New(t)
	b.Resumed(func(string) bool { return true }, func() { b.NothingLeft(5 * time.Second) }, "run", "--resumable", "--runs", b.Runs, "scenarios/upgrade")
}

// TestResumedFacts kills a run before its steps: resumed, it has API servers that do not know what the earlier ones were asked for, and says the same of it.
func TestResumedFacts(t *testing.T) {
	b := berth.New(t)
	b.Kill(func() bool { return b.Ended("objects/1") }, "run", "--resumable", "--runs", b.Runs, "scenarios/known-bad/upgrade-removed-api")
	out, status := b.Run("resume", b.RunFolders()[0])
	b.Expect(status).To(Equal(1), out)
	b.Expect(out).To(ContainSubstring("upgrade/no_removed_api_in_use"))
}

// TestNotResumable: what was not to be, what is under way, and what never had a cluster, can't be resumed, and says why.
func TestNotResumable(t *testing.T) {
	b := berth.New(t)
	refused := func(run, why string) {
		out, status := b.Run("resume", run)
		b.Expect(status).To(Equal(2), out)
		b.Expect(out).To(ContainSubstring(why))
	}
	refused(t.TempDir(), "not the folder of a run")

	b.Kill(func() bool { return b.Reached("_etcd") }, "run", "--runs", b.Runs, "scenarios/drain-web")
	refused(b.RunFolders()[0], "started without --resumable")
	b.Expect(os.RemoveAll(b.RunFolders()[0])).To(Succeed())

	b.Kill(func() bool {
		if !b.Reached("_etcd") {
			return false
		}
		refused(b.RunFolders()[0], "another process has the run under way")
		return true
	}, "run", "--resumable", "--runs", b.Runs, "scenarios/drain-web")
	refused(b.RunFolders()[0], "killed before its cluster stood")
	b.Expect(os.RemoveAll(b.RunFolders()[0])).To(Succeed())

	b.Kill(func() bool { return b.Ended("lose") }, "run", "--resumable", "--runs", b.Runs, "scenarios/restore-single")
	refused(b.RunFolders()[0], "killed while its control plane was stopped")
}

// TestInterrupted presses Ctrl-C in the middle of a drain: the run cleans up, reports, and exits 130.
func TestInterrupted(t *testing.T) {
	b := berth.New(t)
	out, status := b.Interrupt(func() bool { return b.Reached("op drain/drain") }, "run", "--runs", b.Runs, "scenarios/known-bad/budget-allows-nothing-drained")
	b.Expect(status).To(Equal(130), out)
	reports, err := filepath.Glob(filepath.Join(b.Runs, "*", "junit.xml"))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(reports).To(HaveLen(1), "every format is written on every way out")
	b.Expect(out).To(ContainSubstring("interrupted"))
}

// TestSideBySide runs two rehearsals at once: names, ports and folders apart.
func TestSideBySide(t *testing.T) {
	b := berth.New(t)
	statuses := make(chan int, 2)
	for range 2 {
		go func() {
			_, status := b.Run("run", "--runs", b.Runs, "scenarios/drain-web")
			statuses <- status
		}()
	}
	b.Expect([]int{<-statuses, <-statuses}).To(Equal([]int{0, 0}))
}
