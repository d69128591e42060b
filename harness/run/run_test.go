package run

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

const recorded = "../../scenarios/known-bad/recorded/evicted-before-cordon"

// TestUnexpected compares a result with what a scenario expects: exactly the errors that no exception accepts.
func TestUnexpected(t *testing.T) {
	found := func(policy, subject string, severity judge.Severity, accepted string) judge.Finding {
		return judge.Finding{Policy: policy, Subject: subject, Severity: severity, Accepted: accepted, Message: "is wrong"}
	}
	expected := []scenario.ExpectedFinding{{Policy: "a/b", Subject: "pod/p/web-*"}}
	for _, tc := range []struct {
		name    string
		expect  scenario.Expectation
		result  judge.Result
		problem string
	}{
		{"as expected", scenario.Expectation{Verdict: scenario.Failed, Findings: expected}, judge.Result{Verdict: scenario.Failed, Findings: []judge.Finding{found("a/b", "pod/p/web-1", judge.Error, "")}}, ""},
		{"one finding for many", scenario.Expectation{Verdict: scenario.Failed, Findings: expected}, judge.Result{Verdict: scenario.Failed, Findings: []judge.Finding{found("a/b", "pod/p/web-1", judge.Error, ""), found("a/b", "pod/p/web-2", judge.Error, "")}}, ""},
		{"warnings and exceptions don't count", scenario.Expectation{Verdict: scenario.Passed}, judge.Result{Verdict: scenario.Passed, Findings: []judge.Finding{found("c/d", "x", judge.Warning, ""), found("c/d", "x", judge.Error, "known")}}, ""},
		{"a warning that is expected", scenario.Expectation{Verdict: scenario.Failed, Findings: expected}, judge.Result{Verdict: scenario.Failed, Findings: []judge.Finding{found("a/b", "pod/p/web-1", judge.Warning, "")}}, ""},
		{"another verdict", scenario.Expectation{Verdict: scenario.Passed}, judge.Result{Verdict: scenario.Errored, Policies: []judge.PolicyResult{{ID: "a/b", Outcome: judge.Unknown, Reason: "looked at nothing"}}}, "policy a/b could not tell: looked at nothing"},
		{"an unexpected finding", scenario.Expectation{Verdict: scenario.Failed, Findings: expected}, judge.Result{Verdict: scenario.Failed, Findings: []judge.Finding{found("a/b", "pod/p/web-1", judge.Error, ""), found("e/f", "node/n", judge.Error, "")}}, "unexpected finding e/f on node/n: is wrong"},
		{"a missing finding", scenario.Expectation{Verdict: scenario.Failed, Findings: expected}, judge.Result{Verdict: scenario.Failed}, "expected a finding of a/b on pod/p/web-*, and there is none"},
		{"* does not cross a slash", scenario.Expectation{Verdict: scenario.Failed, Findings: []scenario.ExpectedFinding{{Policy: "a/b", Subject: "pod/*"}}}, judge.Result{Verdict: scenario.Failed, Findings: []judge.Finding{found("a/b", "pod/p/web-1", judge.Error, "")}}, "expected a finding of a/b on pod/*, and there is none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			rec := &Recording{Scenario: &scenario.File{}}
			rec.Scenario.Spec.Expect = tc.expect
			problems := rec.Unexpected(tc.result)
			if tc.problem == "" {
				g.Expect(problems).To(BeEmpty())
			} else {
				g.Expect(problems).To(ContainElement(tc.problem))
			}
		})
	}
}

// TestEvidence: a recording opens as it was, and not when one byte of its evidence is another, or a file of it is gone.
func TestEvidence(t *testing.T) {
	g := NewWithT(t)
	_, err := Open(recorded)
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range evidence {
		copied := t.TempDir()
		g.Expect(os.CopyFS(copied, os.DirFS(recorded))).To(Succeed())
		path := filepath.Join(copied, name)
		content, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		content[len(content)/2] ^= 1
		g.Expect(os.WriteFile(path, content, 0o644)).To(Succeed())
		_, err = Open(copied)
		g.Expect(err).To(MatchError(ErrEvidence), name)
		g.Expect(err).To(MatchError(ContainSubstring(name)))
		g.Expect(os.Remove(path)).To(Succeed())
		_, err = Open(copied)
		g.Expect(err).To(MatchError(ErrEvidence), name)
	}
	_, err = Open(t.TempDir())
	g.Expect(err).To(MatchError(ErrNoRun))
}

// TestJudgeIsPure: the same recording and policies give the same findings, with a policy less others.
func TestJudgeIsPure(t *testing.T) {
	g := NewWithT(t)
	rec, err := Open(recorded)
	g.Expect(err).NotTo(HaveOccurred())
	library, err := judge.Load(judge.Embedded())
	g.Expect(err).NotTo(HaveOccurred())
	first, err := Judge(t.Context(), library, rec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rec.Unexpected(first)).To(BeEmpty())
	again, err := Judge(t.Context(), library, rec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(first))

	fewer := t.TempDir()
	g.Expect(os.CopyFS(fewer, os.DirFS("../../policies"))).To(Succeed())
	g.Expect(os.RemoveAll(filepath.Join(fewer, "drain/cordon_before_evict"))).To(Succeed())
	g.Expect(os.Remove(filepath.Join(fewer, "embed.go"))).To(Succeed())
	without, err := judge.Load(judge.Dir(fewer))
	g.Expect(err).NotTo(HaveOccurred())
	result, err := Judge(t.Context(), without, rec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result.Verdict).To(Equal(scenario.Passed), "the policy that spoke is not there")
}

// TestFailureNeverPasses: what the policies say of the part that was recorded does not make an interrupted run pass.
func TestFailureNeverPasses(t *testing.T) {
	g := NewWithT(t)
	rec := &Recording{Summary: Summary{Failure: "interrupted"}}
	g.Expect(rec.Conclude(judge.Result{Verdict: scenario.Passed}).Verdict).To(Equal(scenario.Errored))
	g.Expect(rec.Conclude(judge.Result{Verdict: scenario.Failed}).Verdict).To(Equal(scenario.Failed))
}

// TestDifferences says where the cluster is not what the scenario promised, and nothing of what is only in the cluster.
func TestDifferences(t *testing.T) {
	g := NewWithT(t)
	promised, found := world.New(), world.New()
	promised.Nodes["worker-1"] = &world.Node{Name: "worker-1", Ready: "True"}
	promised.Workloads["deployment/p/web"] = &world.Workload{Kind: "deployment", Namespace: "p", Name: "web", Replicas: 3}
	promised.Budgets["p/web"] = &world.Budget{Namespace: "p", Name: "web"}
	found.Workloads["deployment/kube-system/coredns"] = &world.Workload{}
	g.Expect(differences(promised, found)).To(Equal([]string{
		"node/worker-1 was promised and is not there",
		"deployment/p/web was promised and is not there",
		"poddisruptionbudget/p/web was promised and is not there",
	}))
	found.Nodes["worker-1"] = &world.Node{Name: "worker-1", Ready: "Unknown"}
	found.Workloads["deployment/p/web"] = &world.Workload{Kind: "deployment", Replicas: 3, Ready: 2}
	found.Budgets["p/web"] = &world.Budget{Namespace: "p", Name: "web"}
	g.Expect(differences(promised, found)).To(Equal([]string{
		"node/worker-1 is not Ready: Unknown",
		"deployment/p/web has 2 of 3 pods healthy before the first step",
	}))
}

// TestListShowsARunWithoutAVerdict: a killed run is listed, and not as passed.
func TestListShowsARunWithoutAVerdict(t *testing.T) {
	g := NewWithT(t)
	runs := t.TempDir()
	g.Expect(os.Mkdir(filepath.Join(runs, "killed"), 0o755)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(runs, "killed", journalFile), nil, 0o644)).To(Succeed())
	g.Expect(os.Mkdir(filepath.Join(runs, "not-a-run"), 0o755)).To(Succeed())
	all, err := List(runs)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(all).To(HaveLen(1))
	g.Expect(all[0].Run).To(Equal("killed"))
	g.Expect(all[0].Verdict).To(BeEmpty())
}

// TestStoodStill: the reports say how often and how long, and nothing of a machine that always ran.
func TestStoodStill(t *testing.T) {
	g := NewWithT(t)
	g.Expect(stoodStill(nil)).To(BeEmpty())
	g.Expect(stoodStill([]trace.StandstillData{{Seconds: 0.6}, {Seconds: 1.25}, {Seconds: 0.7}})).To(HaveExactElements(
		"how often this machine stood still, as the recording notes: 3, for up to 1.2 s; an outage that clients saw then may be none of the cluster's"))
}
