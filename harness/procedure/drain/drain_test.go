package drain

import (
	"io"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
)

func web(name string, edit func(*corev1.Pod)) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name, Labels: map[string]string{"app": "web"}}}
	if edit != nil {
		edit(&pod)
	}
	return pod
}

func budget(name string, maxUnavailable string, status policyv1.PodDisruptionBudgetStatus) *policyv1.PodDisruptionBudget {
	value := intstr.Parse(maxUnavailable)
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &value, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
		Status:     status,
	}
}

// TestExplain names, for each pod that is left, the budget that holds it and why that budget allows nothing.
func TestExplain(t *testing.T) {
	seconds := int64(30)
	for _, tc := range []struct {
		name    string
		pod     corev1.Pod
		budgets []*policyv1.PodDisruptionBudget
		budget  string
		reason  string
	}{
		{
			"a budget that never allows anything", web("a", nil),
			[]*policyv1.PodDisruptionBudget{budget("b", "0", policyv1.PodDisruptionBudgetStatus{ExpectedPods: 3, DesiredHealthy: 3, CurrentHealthy: 3})},
			"poddisruptionbudget/p/b", "maxUnavailable 0 of 3 pods never allows a disruption",
		},
		{
			"pods that are not Ready", web("a", nil),
			[]*policyv1.PodDisruptionBudget{budget("b", "1", policyv1.PodDisruptionBudgetStatus{ExpectedPods: 3, DesiredHealthy: 2, CurrentHealthy: 1})},
			"poddisruptionbudget/p/b", "1 of 3 pods are healthy and 2 must be: find out why the others are not Ready; unhealthyPodEvictionPolicy",
		},
		{
			"none to spare for now", web("a", nil),
			[]*policyv1.PodDisruptionBudget{budget("b", "1", policyv1.PodDisruptionBudgetStatus{ExpectedPods: 3, DesiredHealthy: 2, CurrentHealthy: 2})},
			"poddisruptionbudget/p/b", "none can be spared until one more is Ready elsewhere",
		},
		{
			"two budgets", web("a", nil),
			[]*policyv1.PodDisruptionBudget{budget("b", "1", policyv1.PodDisruptionBudgetStatus{}), budget("c", "1", policyv1.PodDisruptionBudgetStatus{})},
			"poddisruptionbudget/p/b, poddisruptionbudget/p/c", "2 budgets select it, and the eviction API refuses such a pod",
		},
		{
			"a pod that does not stop",
			web("a", func(p *corev1.Pod) {
				p.DeletionTimestamp = &metav1.Time{Time: time.Date(2026, 1, 1, 12, 0, 30, 0, time.UTC)}
				p.DeletionGracePeriodSeconds = &seconds
			}),
			nil, "", "has not stopped; its grace period of 30 s ends at 12:00:30",
		},
		{
			"a finalizer",
			web("a", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{}; p.Finalizers = []string{"example.com/hold"} }),
			nil, "", "waits for its finalizers example.com/hold",
		},
		{"no budget", web("a", nil), nil, "", "no budget selects it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			kube := fake.NewClientset()
			for _, b := range tc.budgets {
				g.Expect(kube.Tracker().Add(b)).To(Succeed())
			}
			blockers, err := explain(t.Context(), kube, []corev1.Pod{tc.pod})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(blockers).To(HaveLen(1))
			g.Expect(blockers[0].Subject).To(Equal("pod/p/a"))
			g.Expect(blockers[0].Budget).To(Equal(tc.budget))
			g.Expect(blockers[0].Reason).To(ContainSubstring(tc.reason))
		})
	}
}

// TestCommand: what a report says that kubectl would be told has every option of the drain.
func TestCommand(t *testing.T) {
	g := NewWithT(t)
	minute, grace := scenario.Duration{Duration: time.Minute}, 0
	g.Expect(command(&scenario.Drain{Node: "w", DrainOptions: scenario.DrainOptions{Timeout: minute}})).To(Equal([]string{"kubectl", "drain", "w", "--timeout=1m0s"}))
	g.Expect(command(&scenario.Drain{Node: "w", DrainOptions: scenario.DrainOptions{
		IgnoreDaemonSets: true, DeleteEmptyDirData: true, Force: true, DisableEviction: true, PodSelector: "app=web", GracePeriodSeconds: &grace, Timeout: minute,
	}})).To(Equal([]string{
		"kubectl", "drain", "w", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--disable-eviction", "--pod-selector=app=web", "--grace-period=0", "--timeout=1m0s",
	}))
}

// TestLook: what is left after a drain is a failure, but for a DaemonSet's pod that has ended meanwhile.
func TestLook(t *testing.T) {
	owned := func(kind string) *corev1.Pod {
		yes := true
		pod := web("left", func(p *corev1.Pod) {
			p.Spec.NodeName, p.Status.Phase = "w", corev1.PodFailed
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: "owner", Controller: &yes}}
		})
		return &pod
	}
	for kind, want := range map[string]types.GomegaMatcher{"DaemonSet": Succeed(), "ReplicaSet": MatchError(ContainSubstring("1 left"))} {
		g := NewWithT(t)
		kube := fake.NewClientset(owned(kind), &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "owner"}})
		r := &round{env: &procedure.Env{Kube: kube, Log: io.Discard}, spec: &scenario.Drain{Node: "w", DrainOptions: scenario.DrainOptions{IgnoreDaemonSets: true}}}
		g.Expect(r.look(t.Context(), r.helper(t.Context()), nil)).To(want, kind)
	}
}
