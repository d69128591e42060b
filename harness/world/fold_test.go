package world_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

// voyage is a trace under construction, folded as it grows.
type voyage struct {
	*WithT
	fold *world.Fold
	seq  int64
	op   string
}

func begin(t *testing.T) *voyage {
	return &voyage{WithT: NewWithT(t), fold: world.NewFold()}
}

func (v *voyage) event(kind trace.Kind, subject, change string, data any) world.Change {
	raw, err := json.Marshal(data)
	v.Expect(err).NotTo(HaveOccurred())
	v.seq++
	at := time.Date(2026, 1, 1, 0, 0, int(v.seq), 0, time.UTC)
	c, err := v.fold.Apply(trace.Event{Seq: v.seq, Time: at, Op: v.op, Kind: kind, Subject: subject, Change: change, Data: raw})
	v.Expect(err).NotTo(HaveOccurred())
	return c
}

func (v *voyage) node(name string) {
	v.event(trace.KindObject, "node/"+name, trace.Existing, corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	})
}

func owned(kind, name string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, Controller: &yes}}
}

// web is a Deployment of n replicas with its ReplicaSet and its pods, each on the node of its number.
func (v *voyage) web(n int32) {
	labels := map[string]string{"app": "web"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}
	v.event(trace.KindObject, "deployment/p/web", trace.Existing, appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &n, Template: template},
	})
	v.event(trace.KindObject, "replicaset/p/web-1", trace.Existing, appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "web-1", OwnerReferences: owned("Deployment", "web")},
		Spec:       appsv1.ReplicaSetSpec{Replicas: &n, Template: template},
	})
	for i := range n {
		v.pod(trace.Existing, fmt.Sprintf("web-1-%d", i), fmt.Sprintf("n%d", i), nil)
	}
}

func (v *voyage) pod(change, name, node string, edit func(*corev1.Pod)) world.Change {
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name, UID: "u-1", Labels: map[string]string{"app": "web"}, OwnerReferences: owned("ReplicaSet", "web-1")},
		Spec:       corev1.PodSpec{NodeName: node},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	if edit != nil {
		edit(&pod)
	}
	return v.event(trace.KindObject, "pod/p/"+name, change, pod)
}

func deleting(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }

func notReady(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }

func (v *voyage) budget(name string, edit func(*policyv1.PodDisruptionBudgetSpec)) *world.Budget {
	spec := policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}
	edit(&spec)
	v.event(trace.KindObject, "poddisruptionbudget/p/"+name, trace.Existing, policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name}, Spec: spec,
	})
	return v.fold.World.Budgets["p/"+name]
}

func minAvailable(value string) func(*policyv1.PodDisruptionBudgetSpec) {
	return func(s *policyv1.PodDisruptionBudgetSpec) { v := intstr.Parse(value); s.MinAvailable = &v }
}

func maxUnavailable(value string) func(*policyv1.PodDisruptionBudgetSpec) {
	return func(s *policyv1.PodDisruptionBudgetSpec) { v := intstr.Parse(value); s.MaxUnavailable = &v }
}

// TestDesired follows the disruption controller's arithmetic: percentages round up, maxUnavailable counts what controllers want.
func TestDesired(t *testing.T) {
	for _, tc := range []struct {
		rule                       func(*policyv1.PodDisruptionBudgetSpec)
		expected, desired, allowed int
	}{
		{minAvailable("2"), 3, 2, 1},
		{minAvailable("3"), 3, 3, 0},
		{minAvailable("50%"), 3, 2, 1},
		{minAvailable("100%"), 3, 3, 0},
		{maxUnavailable("1"), 3, 2, 1},
		{maxUnavailable("0"), 3, 3, 0},
		{maxUnavailable("50%"), 3, 1, 2},
		{maxUnavailable("5"), 3, 0, 3},
	} {
		v := begin(t)
		v.web(3)
		b := v.budget("web", tc.rule)
		v.Expect([]int{b.Expected, b.Desired, b.Allowed, b.Healthy}).To(Equal([]int{tc.expected, tc.desired, tc.allowed, 3}), b.MinAvailable+b.MaxUnavailable)
		v.Expect(b.Workloads).To(Equal([]string{"deployment/p/web"}))
	}
}

// TestOwnedByACustomResource: the StatefulSet of an operator speaks for itself. Nobody above it has replicas that a budget could reckon with.
func TestOwnedByACustomResource(t *testing.T) {
	for _, kind := range []string{"Prometheus", "Deployment"} {
		t.Run(kind, func(t *testing.T) { ownedByACustomResource(t, kind) })
	}
}

func ownedByACustomResource(t *testing.T, kind string) {
	v := begin(t)
	owner := owned(kind, "db")
	owner[0].APIVersion = "example.com/v1"
	replicas := int32(3)
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}}
	v.event(trace.KindObject, "statefulset/p/db", trace.Existing, appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "db", OwnerReferences: owner},
		Spec:       appsv1.StatefulSetSpec{Replicas: &replicas, Template: template},
	})
	for i := range replicas {
		v.pod(trace.Existing, fmt.Sprintf("db-%d", i), "n0", func(p *corev1.Pod) { p.OwnerReferences = owned("StatefulSet", "db") })
	}
	b := v.budget("db", maxUnavailable("1"))
	v.Expect([]int{b.Expected, b.Desired, b.Allowed}).To(Equal([]int{3, 2, 1}))
	v.Expect(b.Workloads).To(Equal([]string{"statefulset/p/db"}))
	v.Expect(v.fold.World.Workloads["statefulset/p/db"]).To(And(HaveField("Owner", ""), HaveField("Ready", 3)), "policies look at what nobody owns")
	v.Expect(v.fold.World.Pods["p/db-0"].Workload).To(Equal("statefulset/p/db"))
}

// TestTakenBelowTheBudget is what the policy budget_respected lives on: who took the pod that brought the budget below.
func TestTakenBelowTheBudget(t *testing.T) {
	v := begin(t)
	v.node("n0")
	v.web(3)
	v.budget("web", minAvailable("3"))
	v.op = "drain/drain"
	v.event(trace.KindFact, "pod/p/web-1-0", trace.Deleting, trace.TakingData{Node: "n0", Force: true})
	v.Expect(v.fold.World.Budgets["p/web"].Taken).To(BeEmpty(), "asking is not taking")
	c := v.pod(trace.Modified, "web-1-0", "n0", deleting)
	b := v.fold.World.Budgets["p/web"]
	v.Expect(b.Healthy).To(Equal(2))
	v.Expect(b.Taken).To(HaveLen(1))
	v.Expect(b.Taken[0]).To(Equal(world.Taken{
		Pod: "pod/p/web-1-0", How: world.TakenDeleted, Node: "n0", Op: "drain/drain", Force: true, WasHealthy: true, HealthyAfter: 2,
	}))
	v.Expect(c.Touched).To(ContainElements(world.Ref{Collection: "pods", Key: "p/web-1-0"}, world.Ref{Collection: "budgets", Key: "p/web"}, world.Ref{Collection: "workloads", Key: "deployment/p/web"}))
	v.pod(trace.Deleted, "web-1-0", "n0", deleting)
	v.Expect(v.fold.World.Budgets["p/web"].Taken).To(HaveLen(1), "the breach lasts until the budget is whole again")
	v.Expect(v.fold.Intervals(time.Now(), 99)).To(ContainElement(HaveField("Condition", world.BudgetBelow)))
	v.pod(trace.Added, "web-1-9", "n1", nil)
	v.Expect(v.fold.World.Budgets["p/web"].Healthy).To(Equal(3))
	v.pod(trace.Modified, "web-1-9", "n1", nil)
	v.Expect(v.fold.World.Budgets["p/web"].Taken).To(BeEmpty())
}

// TestLostIsNotTaken tells a pod that went with its node from one that was evicted, also when a drain had already asked for it.
func TestLostIsNotTaken(t *testing.T) {
	v := begin(t)
	v.node("n0")
	v.web(3)
	v.budget("web", minAvailable("3"))
	v.event(trace.KindFact, "pod/p/web-1-0", trace.Evicting, trace.TakingData{Node: "n0"})
	v.event(trace.KindFault, "node/n0", trace.FaultBegan, trace.FaultData{Fault: "powerOff"})
	v.Expect(v.fold.World.Nodes["n0"].Powered).To(BeFalse())
	v.pod(trace.Modified, "web-1-0", "n0", deleting)
	v.Expect(v.fold.World.Pods["p/web-1-0"].Taken.How).To(Equal(world.TakenLost))
	v.Expect(v.fold.World.Budgets["p/web"].Taken).To(BeEmpty())
	v.Expect(v.fold.World.Budgets["p/web"].Healthy).To(Equal(2))
}

// TestTaintManagerIsNotUs reads the reason that the control plane gives.
func TestTaintManagerIsNotUs(t *testing.T) {
	for reason, how := range map[string]string{"DeletionByTaintManager": world.TakenLost, "EvictionByEvictionAPI": world.TakenEvicted, "PreemptionByScheduler": world.TakenOther} {
		v := begin(t)
		v.node("n0")
		v.web(1)
		v.pod(trace.Modified, "web-1-0", "n0", func(p *corev1.Pod) {
			deleting(p)
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason})
		})
		v.Expect(v.fold.World.Pods["p/web-1-0"].Taken.How).To(Equal(how), reason)
	}
}

// TestUnhealthyPodsCostNothing: what was not Ready does not bring the budget lower by going.
func TestUnhealthyPodsCostNothing(t *testing.T) {
	v := begin(t)
	v.node("n0")
	v.web(2)
	v.budget("web", minAvailable("2"))
	v.pod(trace.Modified, "web-1-0", "n0", notReady)
	v.event(trace.KindFact, "pod/p/web-1-0", trace.Evicting, trace.TakingData{Node: "n0"})
	v.pod(trace.Modified, "web-1-0", "n0", func(p *corev1.Pod) { notReady(p); deleting(p) })
	v.Expect(v.fold.World.Budgets["p/web"].Taken).To(BeEmpty())
	v.Expect(v.fold.World.Budgets["p/web"].Unhealthy).To(Equal([]string{"pod/p/web-1-0"}))
}

// TestOrderDoesNotMatter builds the same world from pods that come before their owners and budgets, as informers may deliver them.
func TestOrderDoesNotMatter(t *testing.T) {
	build := func(steps ...func(*voyage)) string {
		v := begin(t)
		for _, step := range steps {
			step(v)
		}
		raw, err := json.Marshal(v.fold.World)
		v.Expect(err).NotTo(HaveOccurred())
		return string(raw)
	}
	three := int32(3)
	labels := map[string]string{"app": "web"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}
	deployment := func(v *voyage) {
		v.event(trace.KindObject, "deployment/p/web", trace.Existing, appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &three, Template: template}})
	}
	replicaSet := func(v *voyage) {
		v.event(trace.KindObject, "replicaset/p/web-1", trace.Existing, appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "web-1", OwnerReferences: owned("Deployment", "web")}, Spec: appsv1.ReplicaSetSpec{Replicas: &three, Template: template}})
	}
	pods := func(v *voyage) {
		for i := range 3 {
			v.pod(trace.Existing, fmt.Sprintf("web-1-%d", i), fmt.Sprintf("n%d", i), nil)
		}
	}
	budget := func(v *voyage) { v.budget("web", maxUnavailable("1")) }
	want := build(deployment, replicaSet, pods, budget)
	for i, got := range []string{
		build(pods, replicaSet, deployment, budget),
		build(budget, pods, deployment, replicaSet),
		build(replicaSet, budget, deployment, pods),
		build(budget, replicaSet, pods, deployment),
	} {
		NewWithT(t).Expect(got).To(MatchJSON(want), "order %d", i)
	}
}

// TestBudgetStatusIsNotNews: the disruption controller's writes must not reset what was taken.
func TestBudgetStatusIsNotNews(t *testing.T) {
	v := begin(t)
	v.node("n0")
	v.web(2)
	v.budget("web", minAvailable("2"))
	v.event(trace.KindFact, "pod/p/web-1-0", trace.Evicting, trace.TakingData{Node: "n0"})
	v.pod(trace.Modified, "web-1-0", "n0", deleting)
	b := v.budget("web", minAvailable("2"))
	v.Expect(b.Taken).To(HaveLen(1))
}

func TestServiceOutageInterval(t *testing.T) {
	v := begin(t)
	probe := func(change, err string) {
		v.event(trace.KindProbe, "service/p/web:80", change, trace.ProbeData{Error: err, IntervalSeconds: 0.2, PatienceSeconds: 1})
	}
	probe(trace.ProbeOK, "")
	v.Expect(v.fold.World.Probes["service/p/web:80"]).To(And(HaveField("IntervalSeconds", 0.2), HaveField("PatienceSeconds", 1.0)))
	probe(trace.ProbeFail, "no endpoints")
	v.event(trace.KindNote, "run/x", "", nil)
	probe(trace.ProbeOK, "")
	v.event(trace.KindProbe, "service/p/web:80", trace.ProbeFail, trace.ProbeData{Error: "again", TookSeconds: 1})
	got := v.fold.Intervals(time.Date(2026, 1, 1, 0, 0, 9, 0, time.UTC), 9)
	v.Expect(got).To(HaveLen(2))
	v.Expect(got[0]).To(And(HaveField("Seconds", 2.0), HaveField("Open", false), HaveField("Reason", "no endpoints"), HaveField("FromSeq", int64(2)), HaveField("ToSeq", int64(4))))
	v.Expect(got[1]).To(And(HaveField("Seconds", 5.0), HaveField("Open", true), HaveField("FirstSeconds", 1.0)))
}

// TestOutageWhileNobodyLooked: of an outage that was under way when the run was killed only that is judged which was seen, whether it is over when the run goes on or not.
func TestOutageWhileNobodyLooked(t *testing.T) {
	for _, over := range []bool{true, false} {
		v := begin(t)
		probe := func(change string) {
			v.event(trace.KindProbe, "service/p/web:80", change, trace.ProbeData{Error: change, IntervalSeconds: 0.2})
		}
		probe(trace.ProbeFail)                                 // at 1 s
		v.event(trace.KindNote, "run/x", "", nil)              // at 2 s, the last there is of the killed process
		v.event(trace.KindRun, "run/x", trace.RunResumed, nil) // at 3 s
		v.event(trace.KindNote, "run/x", "started", nil)       // at 4 s
		if !over {
			probe(trace.ProbeFail) // at 5 s
		}
		probe(trace.ProbeOK)
		got := v.fold.Intervals(time.Date(2026, 1, 1, 0, 0, 9, 0, time.UTC), 9)
		v.Expect(got[0]).To(And(HaveField("FromSeq", int64(1)), HaveField("ToSeq", int64(2)), HaveField("Seconds", 1.0), HaveField("Open", false)))
		if over {
			v.Expect(got).To(HaveLen(1))
			continue
		}
		v.Expect(got).To(HaveLen(2))
		v.Expect(got[1]).To(And(HaveField("FromSeq", int64(5)), HaveField("ToSeq", int64(6)), HaveField("Open", false)))
	}
}
