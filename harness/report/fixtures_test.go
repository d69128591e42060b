package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/roll"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

var started = time.Date(2026, 11, 23, 4, 15, 2, 0, time.UTC)

func after(d time.Duration) *time.Time {
	t := started.Add(d)
	return &t
}

// fixtures are the reports that the goldens show.
var fixtures = map[string]func() Report{
	"passed":         passed,
	"restored":       restored,
	"failed-drain":   failedDrain,
	"failed-policy":  failedPolicy,
	"errored":        errored,
	"errored-early":  erroredEarly,
	"refused":        refused,
	"hostile":        func() Report { return hostile(hostileText) },
	"many-of-a-kind": many,
}

func passed() Report {
	return Report{
		Run: "20261123-041502-7f3a", Scenario: "drain-web", Description: "A worker is drained while three replicas serve.",
		Provider: "embedded", Version: "v1.34.4", Started: started, Ended: started.Add(41300 * time.Millisecond),
		Folder: "runs/20261123-041502-7f3a", Reproduce: "seatrial run scenarios/drain-web",
		Verdict:  scenario.Passed,
		Settings: []string{"etcd does not fsync", "eviction is retried every 1s instead of every 5s"},
		Ops: []Op{
			{Number: "1", ID: "cluster", Title: "create the cluster", State: Done, From: after(0), Seconds: 7.1},
			{Number: "2", ID: "objects", Title: "apply web.yaml", State: Done, From: after(7100 * time.Millisecond), Seconds: 4.25},
			{Number: "3", ID: "drain", Title: "drain worker-1", State: Done, From: after(11 * time.Second), Seconds: 29.5},
			{Number: "3.1", ID: "drain/worker-1/cordon", Title: "mark worker-1 unschedulable", Depth: 1, State: Done, From: after(11 * time.Second), Seconds: 0.034, Command: []string{"kubectl", "cordon", "worker-1"}},
			{Number: "3.2", ID: "drain/worker-1/drain", Title: "evict the pods of worker-1", Depth: 1, State: Done, From: after(11 * time.Second), Seconds: 29.4, Command: []string{"kubectl", "drain", "worker-1", "--timeout=1m0s"}, Log: "logs/drain-worker-1-drain.log"},
			{Number: "4", ID: "uncordon", Title: "mark worker-1 schedulable", State: Done, From: after(41 * time.Second), Seconds: 0.029, Command: []string{"kubectl", "uncordon", "worker-1"}},
		},
		Result: judge.Result{
			Verdict: scenario.Passed,
			Policies: []judge.PolicyResult{
				{ID: "availability/service_outage", Title: "Services keep answering", Severity: judge.Error, Scope: judge.ScopeRun, Outcome: judge.Held, Subjects: 1},
				{ID: "drain/budget_respected", Title: "Disruption budgets are respected", Severity: judge.Error, Scope: judge.ScopeMoment, Outcome: judge.Held, Subjects: 2},
				{ID: "drain/no_orphan_deleted", Title: "No pod is deleted that nothing brings back", Severity: judge.Error, Scope: judge.ScopeMoment, Outcome: judge.NotApplied, Reason: "no drain of the plan has force set"},
				{ID: "drain/workload_has_budget", Title: "Workloads on drained nodes have a budget", Severity: judge.Error, Scope: judge.ScopePlan, Outcome: judge.Held, Subjects: 3},
				{ID: "node/uncordoned_at_end", Title: "Nodes are schedulable again at the end", Severity: judge.Warning, Scope: judge.ScopeRun, Outcome: judge.Broken, Subjects: 2},
			},
			Findings: []judge.Finding{
				{Policy: "drain/workload_has_budget", Severity: judge.Error, Scope: judge.ScopePlan, Subject: "deployment/production/batch", Message: "has 2 replicas and no budget", Accepted: "stateless batch"},
				{Policy: "node/uncordoned_at_end", Severity: judge.Warning, Scope: judge.ScopeRun, Subject: "node/worker-2", Message: "was cordoned before the run and still is", From: after(11 * time.Second), FromSeq: 212, Open: true},
			},
		},
	}
}

// restored is a drill of three members, one of which was left out.
func restored() Report {
	r := passed()
	lost, outage := 93.4, 41.25
	r.Result.Drills = []world.Drill{{
		Restore: "restore/drill", Backup: "backup/nightly", LostSeconds: &lost, OutageSeconds: &outage, Objects: 312, Restored: 312, Digest: "6f1c", RestoredDigest: "6f1c",
		Revision: 1000000871, LastRevision: 902,
		Members: []world.DrillMember{{Node: "cp-1", ClusterID: "aa", Hash: "c0ffee"}, {Node: "cp-2", ClusterID: "aa", Hash: "c0ffee"}, {Node: "cp-3", ClusterID: "bb"}},
	}}
	r.Result.Rolls = map[string]roll.Planned{
		"roll/workers": {Options: roll.Options{Nodes: []string{"worker-1", "worker-2", "worker-3"}, Parallel: 2}, Answer: roll.Answer{Possible: true, Waves: 2, Order: []string{"worker-2", "worker-1", "worker-3"}}},
		"stuck":        {Options: roll.Options{Nodes: []string{"worker-1", "worker-2"}, Parallel: 1}},
		"drain":        {Options: roll.Options{Nodes: []string{"worker-1"}, Parallel: 1}, Answer: roll.Answer{Possible: true, Waves: 1, Order: []string{"worker-1"}}},
	}
	r.Result.Commands = []judge.Command{
		{Op: "drain/worker-1/drain", Node: "cp-1", Argv: []string{"etcdutl", "snapshot", "restore", "/var/backup.db"}, Seconds: 4.2},
		{Op: "drain/worker-1/drain", Node: "cp-1", Argv: []string{"systemctl", "restart", "kubelet"}, Seconds: 0.75, Error: "exit status 1"},
	}
	return r
}

func failedDrain() Report {
	r := passed()
	r.Scenario, r.Description, r.Settings = "budget-allows-nothing", "", nil
	r.Reproduce = "seatrial run scenarios/known-bad/budget-allows-nothing"
	r.Ended = started.Add(73 * time.Second)
	r.Verdict = scenario.Failed
	r.Reason = "operation 3.2 failed and 1 policy was broken"
	r.Ops[2].State, r.Ops[2].Seconds, r.Ops[2].Error = Failed, 60.1, `drain node "worker-1": gave up after 1m0s with 2 pods left`
	r.Ops[4].State, r.Ops[4].Seconds = Failed, 60.05
	r.Ops[4].Error = `drain node "worker-1": gave up after 1m0s with 2 pods left`
	why := "it allows 0 disruptions: maxUnavailable is 0"
	r.Ops[4].Blockers = []trace.Blocker{
		{Subject: "pod/production/web-7c9d4b5f6-2xkqp", Budget: "poddisruptionbudget/production/web", Reason: why},
		{Subject: "pod/production/web-7c9d4b5f6-8mzrt", Budget: "poddisruptionbudget/production/web", Reason: why},
	}
	r.Ops[5].State, r.Ops[5].Seconds, r.Ops[5].From = Pending, 0, nil
	r.Result.Verdict = scenario.Failed
	r.Result.Policies[4].Severity = judge.Error
	r.Result.Policies[4].Remedy = "Uncordon the node when its drain fails, as well as when it succeeds."
	r.Result.Findings = []judge.Finding{
		{Policy: "node/uncordoned_at_end", Severity: judge.Error, Scope: judge.ScopeRun, Subject: "node/worker-1", Message: "is still cordoned at the end", From: after(11034 * time.Millisecond), To: after(71100 * time.Millisecond), FromSeq: 214, ToSeq: 391, Open: true},
	}
	return r
}

func failedPolicy() Report {
	r := passed()
	r.Scenario, r.Verdict, r.Result.Verdict = "no-budget", scenario.Failed, scenario.Failed
	r.Reason = "1 policy was broken: availability/service_outage"
	r.Reproduce = "seatrial run scenarios/known-bad/no-budget"
	r.Result.Policies[0].Outcome = judge.Broken
	r.Result.Policies[0].Remedy = "Give the workload a PodDisruptionBudget with minAvailable 1 or more, and spread its replicas over nodes."
	outage := judge.Finding{
		Policy: "availability/service_outage", Severity: judge.Error, Scope: judge.ScopeRun, Subject: "service/production/web",
		Message: "did not answer for 12.4s; at most 2s are allowed", Op: "drain/worker-1/drain",
		From: after(14200 * time.Millisecond), To: after(26600 * time.Millisecond), FromSeq: 301, ToSeq: 377, Moments: 2,
	}
	r.Result.Findings = append(r.Result.Findings, outage)
	return r
}

func errored() Report {
	r := passed()
	r.Verdict, r.Result.Verdict = scenario.Errored, scenario.Errored
	r.Reason = "operation 3.2 broke off, so 1 policy could not be judged"
	r.Ops[2].State, r.Ops[4].State, r.Ops[5].State = Errored, Errored, Skipped
	r.Ops[4].Error = `evict pod "production/web-7c9d4b5f6-2xkqp": Post "https://127.0.0.1:41233/api/v1/namespaces/production/pods/web-7c9d4b5f6-2xkqp/eviction": connect: connection refused`
	r.Ops[2].Error = r.Ops[4].Error
	r.Ops[5].Error, r.Ops[5].Seconds = "drain broke off", 0
	r.Result.Policies[0].Outcome, r.Result.Policies[0].Subjects = judge.Unknown, 0
	r.Result.Policies[0].Reason = "it looked at nothing: no probe answered and none failed"
	return r
}

// erroredEarly went wrong before there was a plan: only the reason says why.
func erroredEarly() Report {
	r := passed()
	r.Verdict, r.Result = scenario.Errored, judge.Result{}
	r.Ops, r.Settings = nil, nil
	r.Reason = `create cluster "drain-web": start kube-apiserver cp-1: exit status 1: listen tcp 127.0.0.1:6443: bind: address already in use`
	return r
}

func refused() Report {
	r := passed()
	r.Verdict, r.Result.Verdict = scenario.Failed, scenario.Failed
	r.Reason = "the plan was refused before anything was touched: 1 policy was broken"
	r.Ended = started.Add(120 * time.Millisecond)
	for i := range r.Ops {
		r.Ops[i].State, r.Ops[i].Seconds, r.Ops[i].From = Pending, 0, nil
	}
	for i := range r.Result.Policies {
		r.Result.Policies[i].Outcome, r.Result.Policies[i].Subjects = judge.NotApplied, 0
		r.Result.Policies[i].Reason = "the steps did not begin"
	}
	r.Result.Policies[3].Outcome, r.Result.Policies[3].Reason, r.Result.Policies[3].Subjects = judge.Broken, "", 3
	r.Result.Policies[3].Remedy = "Add a PodDisruptionBudget that selects the workload's pods, or accept the finding with a reason."
	r.Result.Findings = nil
	for _, name := range []string{"batch", "web"} {
		r.Result.Findings = append(r.Result.Findings, judge.Finding{
			Policy: "drain/workload_has_budget", Severity: judge.Error, Scope: judge.ScopePlan, Subject: "deployment/production/" + name,
			Message: "has 2 replicas on worker-1 and no budget",
		})
	}
	return r
}

// hostileText is what somebody might put into a name or a message to make a report lie.
var hostileText = "a|b\n# h\r\n- x <script>alert(1)</script> \x1b[2J\x1b]0;t\x07 \u202egnp\u202c \x9b31m \xff `c` **b** [l](http://evil.test) " +
	"@octocat #1 www.evil.test ]]> \x00 &lt; " + strings.Repeat("long", 200)

// hostile has text in every place that a scenario, a cluster or a policy can fill.
func hostile(text string) Report {
	r := failedPolicy()
	r.Run, r.Scenario, r.Description, r.Provider, r.Version = text, text, text, text, text
	r.Folder, r.Reproduce, r.Reason, r.Settings = text, text, text, []string{text, text}
	for i := range r.Ops {
		op := &r.Ops[i]
		op.Number, op.ID, op.Title, op.Error, op.Log = text, text, text, text, text
		op.State = []State{Done, Failed, Errored, Skipped, Pending, Done}[i]
		op.Blockers = []trace.Blocker{{Subject: text, Budget: text, Reason: text}}
		op.Depth = 0
	}
	for i := range r.Result.Policies {
		p := &r.Result.Policies[i]
		p.ID, p.Title, p.Reason, p.Remedy = fmt.Sprint(i, text), text, text, text
		p.Outcome = []judge.Outcome{judge.Broken, judge.Held, judge.NotApplied, judge.Unknown, judge.Broken}[i]
	}
	for i := range r.Result.Findings {
		f := &r.Result.Findings[i]
		f.Policy, f.Subject, f.Message, f.Op = fmt.Sprint(i, text), text, text, text
		if f.Accepted != "" {
			f.Accepted = text
		}
	}
	r.Result.Commands = []judge.Command{{Op: text, Node: text, Argv: []string{text, text}, Error: text}}
	r.Result.Rolls = map[string]roll.Planned{text: {Options: roll.Options{Nodes: []string{text, text}}, Answer: roll.Answer{Possible: true, Order: []string{text, text}}}}
	r.Result.Findings[2].Policy = r.Result.Policies[0].ID
	return r
}

// many has more of everything than a screen holds.
func many() Report {
	r := failedDrain()
	r.Scenario = "many"
	for i := range 18 {
		r.Ops[4].Blockers = append(r.Ops[4].Blockers, trace.Blocker{Subject: fmt.Sprintf("pod/production/web-%02d", i), Reason: "it is still terminating"})
	}
	r.Result.Policies[4].Outcome = judge.Held
	r.Result.Policies[4].Severity, r.Result.Findings = judge.Error, nil
	for p := range 9 {
		id := fmt.Sprintf("team/rule_%d", p)
		r.Result.Policies = append(r.Result.Policies, judge.PolicyResult{ID: id, Title: "A rule of a team", Severity: judge.Error, Scope: judge.ScopeMoment, Outcome: judge.Broken, Subjects: 30, Remedy: "Do as the rule says."})
		for s := range 30 {
			r.Result.Findings = append(r.Result.Findings, judge.Finding{
				Policy: id, Severity: judge.Error, Scope: judge.ScopeMoment, Subject: fmt.Sprintf("pod/production/web-%02d", s), Message: fmt.Sprintf("breaks rule %d", p),
				From: after(12 * time.Second), To: after(12 * time.Second), FromSeq: int64(100 + s), ToSeq: int64(100 + s), Moments: 1,
			})
		}
	}
	return r
}
