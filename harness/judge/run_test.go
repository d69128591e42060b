package judge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

func library(t testing.TB, sources ...judge.Source) *judge.Library {
	t.Helper()
	l, err := judge.Load(append([]judge.Source{judge.Embedded()}, sources...)...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// voyage is a drain of one pod of three, which tests vary.
type voyage struct {
	options       scenario.Drain
	uncordoned    bool // the node is cordoned too late
	noBudget      bool
	bare          bool // the pod has no controller
	daemonset     bool // the pod is a DaemonSet's
	scratch       bool // the Deployment has an emptyDir
	delete        bool // instead of evicting
	below         bool // the budget allows no pod to be unhealthy
	lost          bool // the power is cut
	leaveCordoned bool
	notBack       bool // no replacement
	outage        string
	drainEnds     string
	stopsEarly    bool
}

func (v voyage) record(t testing.TB) *recording {
	r := newRecording(t)
	r.scratch = v.scratch
	r.run(trace.RunBegan)
	r.node(trace.Existing, "worker-1", false)
	r.node(trace.Existing, "worker-2", false)
	r.deployment(trace.Existing, "web", 3)
	if !v.noBudget {
		r.budget(trace.Existing, "web", map[bool]int{false: 1, true: 0}[v.below])
	}
	app := "web"
	if v.bare {
		app = ""
	}
	if v.daemonset {
		app = "log"
	}
	for i := range 3 {
		r.pod(trace.Existing, fmt.Sprintf("web-%d", i), map[bool]string{true: app, false: "web"}[i == 0], fmt.Sprintf("worker-%d", min(i+1, 2)), ready)
	}
	if v.bare || v.daemonset {
		r.pod(trace.Existing, "web-3", "web", "worker-2", ready)
	}
	r.probe("api/balancer", trace.ProbeOK)
	r.probe("service/production/web:80", trace.ProbeOK)
	r.run(trace.StepsBegan)
	r.perform("evict/cordon", trace.OpDone, trace.OpData{}, func() { r.node(trace.Modified, "worker-1", !v.uncordoned) })
	ends := trace.OpDone
	if v.drainEnds != "" {
		ends = v.drainEnds
	}
	data := trace.OpData{}
	if ends != trace.OpDone {
		data.Error = "gave up"
	}
	r.perform("evict/drain", ends, data, func() {
		if v.lost {
			r.event(trace.KindFault, "node/worker-1", trace.FaultBegan, trace.FaultData{Fault: "powerOff"})
		} else {
			r.take(map[bool]string{false: trace.Evicting, true: trace.Deleting}[v.delete], "web-0", "worker-1")
		}
		r.pod(trace.Modified, "web-0", app, "worker-1", leaving)
		r.pod(trace.Deleted, "web-0", app, "worker-1", leaving)
		if v.outage != "" {
			r.probe(v.outage, trace.ProbeFail)
			r.run("tick") // an outage is as long as the clock of the recording says
			r.probe(v.outage, trace.ProbeOK)
		}
		if !v.notBack {
			r.pod(trace.Added, "web-9", "web", "worker-2", pending)
			r.pod(trace.Modified, "web-9", "web", "worker-2", ready)
		}
	})
	if v.stopsEarly {
		return r
	}
	r.perform("uncordon", trace.OpDone, trace.OpData{}, func() {
		r.node(trace.Modified, "worker-1", v.leaveCordoned)
	})
	r.run(trace.StepsEnded)
	r.run(trace.RunEnded)
	return r
}

func (v voyage) judge(t testing.TB, l *judge.Library, says scenario.Policies) judge.Result {
	t.Helper()
	result, err := l.Run(t.Context(), v.record(t).reader(), drainPlan(v.options), world.New(), says)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// broken lists the findings as "policy subject".
func broken(r judge.Result) []string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, f.Policy+" "+f.Subject)
	}
	return list
}

func TestEachPolicySpeaksInItsVoyage(t *testing.T) {
	l := library(t)
	for _, tc := range []struct {
		name    string
		voyage  voyage
		verdict scenario.Verdict
		want    []string
	}{
		{"all well", voyage{}, scenario.Passed, nil},
		{"not cordoned", voyage{uncordoned: true}, scenario.Failed, []string{"drain/cordon_before_evict pod/production/web-0"}},
		{"no budget", voyage{noBudget: true}, scenario.Failed, []string{"drain/workload_has_budget deployment/production/web"}},
		{"budget bypassed", voyage{below: true, delete: true, options: scenario.Drain{DrainOptions: scenario.DrainOptions{DisableEviction: true}}}, scenario.Failed,
			[]string{"drain/budget_respected poddisruptionbudget/production/web"}},
		// No breach, because nobody took the pod; and no pass, because the drain took none.
		{"power cut below the budget", voyage{below: true, lost: true, options: scenario.Drain{DrainOptions: scenario.DrainOptions{DisableEviction: true}}}, scenario.Errored, nil},
		{"budget that allows nothing", voyage{below: true, lost: true}, scenario.Failed, []string{"drain/budget_allows_progress poddisruptionbudget/production/web"}},
		{"bare pod", voyage{bare: true}, scenario.Failed, []string{"drain/no_orphan_deleted pod/production/web-0"}},
		{"pod of a DaemonSet", voyage{daemonset: true}, scenario.Failed, []string{"drain/daemonset_untouched pod/production/web-0"}},
		{"local data", voyage{scratch: true}, scenario.Failed, []string{"drain/local_data_acknowledged deployment/production/web"}},
		{"local data acknowledged", voyage{scratch: true, options: scenario.Drain{DrainOptions: scenario.DrainOptions{DeleteEmptyDirData: true}}}, scenario.Passed, nil},
		{"node left cordoned", voyage{leaveCordoned: true}, scenario.Failed, []string{"node/uncordoned_at_end node/worker-1"}},
		{"service out", voyage{outage: "service/production/web:80"}, scenario.Failed, []string{"availability/service_outage service/production/web:80"}},
		{"API out", voyage{outage: "api/balancer"}, scenario.Failed, []string{"availability/api_outage api/balancer"}},
		{"pod not back", voyage{notBack: true}, scenario.Failed, []string{"workload/recovered deployment/production/web"}},
		{"drain failed", voyage{drainEnds: trace.OpFailed}, scenario.Failed, []string{"procedure/completed op/evict/drain"}},
		{"drain errored", voyage{drainEnds: trace.OpErrored}, scenario.Errored, nil},
		{"recording breaks off", voyage{stopsEarly: true}, scenario.Errored, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			result := tc.voyage.judge(t, l, scenario.Policies{})
			if result.Verdict != tc.verdict {
				t.Errorf("verdict %s, want %s: %+v", result.Verdict, tc.verdict, result)
			}
			if diff := cmp.Diff(tc.want, broken(result)); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%+v", diff, result.Findings)
			}
			if again := tc.voyage.judge(t, l, scenario.Policies{}); !bytes.Equal(encode(t, result), encode(t, again)) {
				t.Error("judged twice, the bytes differ")
			}
		})
	}
}

func encode(t *testing.T, v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAFindingHoldsFromItsFirstMomentToItsLast(t *testing.T) {
	result := voyage{below: true, delete: true, options: scenario.Drain{DrainOptions: scenario.DrainOptions{DisableEviction: true}}}.judge(t, library(t), scenario.Policies{})
	f := result.Findings[0]
	if f.Open || f.Moments < 2 || f.ToSeq <= f.FromSeq || f.Op != "evict/drain" || !f.To.After(*f.From) {
		t.Errorf("a finding that ends: %+v", f)
	}
	open := voyage{below: true, delete: true, notBack: true, options: scenario.Drain{DrainOptions: scenario.DrainOptions{DisableEviction: true}}}.judge(t, library(t), scenario.Policies{})
	if f := open.Findings[0]; !f.Open || f.FromSeq == 0 {
		t.Errorf("a finding that stays open: %+v", f)
	}
	outage := voyage{outage: "service/production/web:80"}.judge(t, library(t), scenario.Policies{})
	if f := outage.Findings[0]; f.Op != "evict/drain" || f.To.Sub(*f.From) != 2*time.Second {
		t.Errorf("an outage has the interval of the outage: %+v", f)
	}
}

func TestExceptionsAndParameters(t *testing.T) {
	says := scenario.Policies{
		Params: map[string]map[string]any{"availability/service_outage": {"max": "3s"}},
		Except: []scenario.Exception{
			{ID: "drain/workload_has_budget", Subject: "deployment/*/web", Reason: "stateless"},
			{ID: "drain/workload_has_budget", Subject: "deployment/*", Reason: "* does not cross /"},
		},
	}
	result := voyage{noBudget: true, outage: "service/production/web:80"}.judge(t, library(t), says)
	if result.Verdict != scenario.Passed || len(result.Findings) != 1 || result.Findings[0].Accepted != "stateless" {
		t.Errorf("got %+v", result)
	}
	if len(result.UnusedExceptions) != 1 || result.UnusedExceptions[0].Subject != "deployment/*" {
		t.Errorf("unused: %+v", result.UnusedExceptions)
	}
}

// own is a source with one policy own/p.
func own(scope, more, rules string) judge.Source {
	text := strings.Replace(meta, "scope: run", "scope: "+scope+more, 1)
	return files("own/p/p.rego", text+rules)
}

func outcome(t *testing.T, result judge.Result, id string) judge.PolicyResult {
	t.Helper()
	for _, p := range result.Policies {
		if p.ID == id {
			return p
		}
	}
	t.Fatalf("policy %s is missing in %+v", id, result)
	return judge.PolicyResult{}
}

func TestUsersPolicies(t *testing.T) {
	const onPods = "\n#   on: [pods]"
	for _, tc := range []struct {
		name    string
		source  judge.Source
		verdict scenario.Verdict
		outcome judge.Outcome
		reason  string
	}{
		{"says nothing", own("run", "", rules), scenario.Passed, judge.Held, ""},
		{"speaks", own("run", "", "subjects contains \"a\"\n\ndeny contains {\"subject\": \"a\", \"msg\": \"is wrong\"}\n"), scenario.Failed, judge.Broken, ""},
		{"warns", judge.FS("own", mapped(strings.Replace(meta, "error", "warning", 1)+"subjects contains \"a\"\n\ndeny contains {\"subject\": \"a\", \"msg\": \"is odd\"}\n")), scenario.Passed, judge.Broken, ""},
		{"doubts", own("run", "", rules+"\nunknown contains {\"subject\": \"a\", \"msg\": \"can't tell\"}\n"), scenario.Errored, judge.Unknown, "a: can't tell"},
		{"looks at nothing", own("run", "", strings.Replace(rules, "\"a\"\n", "\"a\" if false\n", 1)), scenario.Errored, judge.Unknown, "looked at nothing"},
		{"may be empty", own("run", "\n#   mayBeEmpty: true", strings.Replace(rules, "\"a\"\n", "\"a\" if false\n", 1)), scenario.Passed, judge.Held, ""},
		{"does not apply", own("run", "\n#   needs: [scale]", rules), scenario.Passed, judge.NotApplied, "the plan has no scale"},
		{"loops", own("moment", onPods, rules+"\nsubjects contains x if { some x in numbers.range(1, 100000000); x < 0 }\n"), scenario.Errored, judge.Unknown, "did not finish within"},
		{"divides by zero", own("moment", onPods, rules+"\nsubjects contains \"b\" if 1 / count(set()) > 0\n"), scenario.Errored, judge.Unknown, "divide by zero"},
		{"answers with something else", own("run", "", "subjects contains \"a\"\n\ndeny contains {\"subject\": \"a\"}\n"), scenario.Errored, judge.Unknown, "both are needed"},
		{"answers with a number", own("run", "", "subjects contains 1\n\ndeny contains {\"subject\": \"a\", \"msg\": \"m\"} if false\n"), scenario.Errored, judge.Unknown, "something else"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := library(t, tc.source)
			l.Deadline = 100 * time.Millisecond
			if tc.name != "loops" {
				l.Deadline = time.Minute // this machine may be busy
			}
			l2 := library(t)
			result := voyage{}.judge(t, l, scenario.Policies{})
			got := outcome(t, result, "own/p")
			if result.Verdict != tc.verdict || got.Outcome != tc.outcome || !strings.Contains(got.Reason, tc.reason) {
				t.Errorf("verdict %s, %+v", result.Verdict, got)
			}
			if without := (voyage{}).judge(t, l2, scenario.Policies{}); len(without.Policies) != len(result.Policies)-1 {
				t.Errorf("without the policy %d of %d are left", len(without.Policies), len(result.Policies))
			}
		})
	}
}

func mapped(text string) mapFS { return mapFS{"own/p/p.rego": {Data: []byte(text)}} }

func TestTheFirstMomentIsTheBeginning(t *testing.T) {
	l := library(t, own("moment", "\n#   on: [nodes]", `subjects contains key if some key in input.touched.nodes

deny contains {"subject": key, "msg": "was there when the steps began"} if {
	input.event.change == "stepsBegan"
	some key in input.touched.nodes
}
`))
	result := voyage{}.judge(t, l, scenario.Policies{})
	if diff := cmp.Diff([]string{"own/p worker-1", "own/p worker-2"}, broken(result)); diff != "" {
		t.Error(diff)
	}
}

func TestAPlanThatIsRefused(t *testing.T) {
	promised := world.New()
	promised.Promised = true
	promised.Workloads["deployment/p/web"] = &world.Workload{Kind: "deployment", Namespace: "p", Name: "web", Replicas: 3, Budgets: []string{}, Nodes: map[string]int{}}
	l := library(t)
	planned, err := l.Plan(t.Context(), drainPlan(scenario.Drain{}), promised, scenario.Policies{})
	if err != nil || planned.Verdict != scenario.Failed {
		t.Fatalf("%v %+v", err, planned)
	}
	r := newRecording(t)
	r.run(trace.RunBegan)
	r.run(trace.RunEnded)
	result, err := l.Run(t.Context(), r.reader(), drainPlan(scenario.Drain{}), promised, scenario.Policies{})
	if err != nil || result.Verdict != scenario.Failed {
		t.Fatalf("%v %+v", err, result)
	}
	if diff := cmp.Diff(planned.Findings, result.Findings); diff != "" {
		t.Error(diff)
	}
	if p := outcome(t, result, "procedure/completed"); p.Outcome != judge.NotApplied {
		t.Errorf("%+v", p)
	}
	empty, err := l.Run(t.Context(), newRecording(t).reader(), drainPlan(scenario.Drain{}), world.New(), scenario.Policies{})
	if err != nil || empty.Verdict != scenario.Errored {
		t.Errorf("an empty recording: %v %+v", err, empty)
	}
}

func TestDamagedRecordings(t *testing.T) {
	whole := voyage{}.record(t).out.String()
	lines := strings.SplitAfter(whole, "\n")
	for name, text := range map[string]string{
		"a missing line": strings.Join(append(lines[:5:5], lines[6:]...), ""),
		"half a line":    whole[:len(whole)/2],
		"no object":      strings.Replace(whole, `"spec":{`, `"spec":[{`, 1),
	} {
		_, err := library(t).Run(t.Context(), trace.NewReader(strings.NewReader(text)), drainPlan(scenario.Drain{}), world.New(), scenario.Policies{})
		if !errors.Is(err, trace.ErrDamaged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	r := newRecording(t)
	r.perform("no/such/op", trace.OpDone, trace.OpData{}, func() {})
	if _, err := library(t).Run(t.Context(), r.reader(), &plan.Plan{}, world.New(), scenario.Policies{}); !errors.Is(err, trace.ErrDamaged) {
		t.Errorf("an op of another plan: %v", err)
	}
}
