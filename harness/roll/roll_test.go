package roll_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/seatrial/seatrial/harness/roll"
	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

// cluster is a world in the making.
type cluster struct {
	t         testing.TB
	fold      *world.Fold
	namespace string
}

func newCluster(t testing.TB) *cluster { return &cluster{t, world.NewFold(), "p"} }

func (c *cluster) add(subject string, object any) {
	c.t.Helper()
	data, err := json.Marshal(object)
	if err == nil {
		_, err = c.fold.Apply(trace.Event{Kind: trace.KindObject, Subject: subject, Change: trace.Existing, Data: data})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// nodes adds ready workers a, b, c, … each in a zone of its own, with room for pods and processors.
func (c *cluster) nodes(names string, cpu string, changes ...func(*corev1.Node)) *cluster {
	for _, name := range strings.Fields(names) {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}}}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourcePods: resource.MustParse("110")}
		for _, change := range changes {
			change(n)
		}
		c.add("node/"+name, n)
	}
	return c
}

// app adds a ready pod of one workload on each of the nodes.
func (c *cluster) app(app, nodes string, changes ...func(*corev1.Pod)) *cluster {
	yes, all := true, strings.Fields(nodes)
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: app}, Spec: appsv1.StatefulSetSpec{Replicas: ptr(int32(len(all)))}}
	set.Spec.Template.Labels = map[string]string{"app": app}
	c.add("statefulset/"+c.namespace+"/"+app, set)
	for i, node := range all {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: c.namespace, Name: fmt.Sprintf("%s-%d", app, i), Labels: map[string]string{"app": app},
			OwnerReferences: []metav1.OwnerReference{{Kind: "StatefulSet", Name: app, Controller: &yes}},
		}}
		p.Spec.NodeName = node
		p.Spec.Containers = []corev1.Container{{Name: "main"}}
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		for _, change := range changes {
			change(p)
		}
		c.add("pod/"+c.namespace+"/"+p.Name, p)
	}
	return c
}

func (c *cluster) budget(app string, spec policyv1.PodDisruptionBudgetSpec) *cluster {
	spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	c.add("poddisruptionbudget/"+c.namespace+"/"+app, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: app}, Spec: spec})
	return c
}

func (c *cluster) check(o roll.Options) roll.Answer {
	c.t.Helper()
	answer, err := roll.Check(c.fold.World, o)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer
}

func maxUnavailable(n int) policyv1.PodDisruptionBudgetSpec {
	v := intstr.FromInt32(int32(n))
	return policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &v}
}

func minAvailable(n int) policyv1.PodDisruptionBudgetSpec {
	v := intstr.FromInt32(int32(n))
	return policyv1.PodDisruptionBudgetSpec{MinAvailable: &v}
}

func cpu(q string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(q)}
	}
}

// alone keeps pods of one app apart.
func alone(p *corev1.Pod) {
	p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
		{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": p.Labels["app"]}}, TopologyKey: "kubernetes.io/hostname"},
	}}}
}

func evenly(p *corev1.Pod) {
	p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: "kubernetes.io/hostname", WhenUnsatisfiable: corev1.DoNotSchedule,
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": p.Labels["app"]}},
	}}
}

func pinned(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: value} }
}

func unready(p *corev1.Pod) { p.Status.Conditions = nil }

func TestPossible(t *testing.T) {
	for name, tt := range map[string]struct {
		cluster  *cluster
		parallel int
		waves    int
	}{
		"room elsewhere": {newCluster(t).nodes("a b c", "4").app("web", "a b c").budget("web", minAvailable(2)), 1, 3},
		"no budget and no room: the pod waits until its node is back": {newCluster(t).nodes("a b", "1").app("web", "a b", cpu("1")), 1, 2},
		"one pod may wait":                    {newCluster(t).nodes("a b", "1").app("web", "a b", cpu("1")).budget("web", maxUnavailable(1)), 1, 2},
		"anti-affinity, and one pod may wait": {newCluster(t).nodes("a b c", "4").app("db", "a b c", alone).budget("db", maxUnavailable(1)), 1, 3},
		"the second waits for the first":      {newCluster(t).nodes("a b c", "4").app("db", "a b c", alone).budget("db", maxUnavailable(1)), 2, 3},
		"two at a time":                       {newCluster(t).nodes("a b c d", "4").app("web", "a b c d").budget("web", maxUnavailable(1)), 2, 2},
		"a pod that is not ready":             {newCluster(t).nodes("a b", "4").app("web", "a a b").app("slow", "a", unready).budget("slow", policyv1.PodDisruptionBudgetSpec{MaxUnavailable: maxUnavailable(0).MaxUnavailable, UnhealthyPodEvictionPolicy: ptr(policyv1.AlwaysAllow)}), 1, 2},
		"what stays":                          {newCluster(t).nodes("a b", "4").app("agent", "a b", func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" }).budget("agent", maxUnavailable(0)), 2, 1},
		"what has ended":                      {newCluster(t).nodes("a b", "4").app("job", "a b", func(p *corev1.Pod) { p.Status.Phase, p.OwnerReferences = corev1.PodSucceeded, nil }), 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o := roll.Options{Parallel: tt.parallel}
			for node := range tt.cluster.fold.World.Nodes {
				o.Nodes = append(o.Nodes, node)
			}
			answer := tt.cluster.check(o)
			g.Expect(answer.Possible).To(BeTrue(), "%+v", answer)
			g.Expect(answer.Order).To(Equal(o.Nodes))
			g.Expect(answer.Stuck).To(BeEmpty())
			g.Expect(answer.Waves).To(Equal(tt.waves))
			g.Expect(json.Marshal(answer)).NotTo(ContainSubstring("null"), "policies count what is in these lists")
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestBlocked(t *testing.T) {
	nodes := func() *cluster { return newCluster(t).nodes("a b c", "4") }
	away := "has no place for pod/p/db-0 while a is away"
	for name, tt := range map[string]struct {
		cluster  *cluster
		blockers []roll.Blocker
	}{
		"a budget that allows nothing": {nodes().app("db", "a b").budget("db", maxUnavailable(0)), []roll.Blocker{
			{Object: "poddisruptionbudget/p/db", Pod: "pod/p/db-0", Node: "a", Reason: "lets none of its 2 pods be evicted", Change: "set maxUnavailable to 1 or more"},
		}},
		"a single replica": {nodes().app("db", "a").budget("db", minAvailable(1)), []roll.Blocker{
			{Object: "poddisruptionbudget/p/db", Pod: "pod/p/db-0", Node: "a", Reason: "lets none of its 1 pods be evicted", Change: "run a second replica, or accept the outage with minAvailable 0"},
		}},
		"unhealthy pods": {nodes().app("db", "a b").app("db-slow", "c", unready, func(p *corev1.Pod) { p.Labels["app"] = "db" }).budget("db", minAvailable(2)), []roll.Blocker{
			{Object: "poddisruptionbudget/p/db", Pod: "pod/p/db-0", Node: "a", Reason: "wants 2 healthy pods and has 2: pod/p/db-slow-0", Change: "repair these pods"},
		}},
		"two budgets": {nodes().app("db", "a", func(p *corev1.Pod) { p.Labels["tier"] = "x" }).budget("db", maxUnavailable(1)).other("db2", maxUnavailable(1)), []roll.Blocker{
			{Object: "poddisruptionbudget/p/db", Pod: "pod/p/db-0", Node: "a", Reason: "is one of 2 budgets that select pod/p/db-0 (p/db, p/db2), and the eviction API refuses such a pod", Change: "narrow their selectors until one is left"},
		}},
		"a budget that expects nothing": {nodes().app("db", "a b").budget("db", policyv1.PodDisruptionBudgetSpec{}), []roll.Blocker{
			{Object: "poddisruptionbudget/p/db", Pod: "pod/p/db-0", Node: "a", Reason: "lets none of its 0 pods be evicted", Change: "set maxUnavailable to 1 or more"},
		}},
		"a bare pod": {nodes().app("db", "a", func(p *corev1.Pod) { p.OwnerReferences = nil }), []roll.Blocker{
			{Object: "pod/p/db-0", Pod: "pod/p/db-0", Node: "a", Reason: "has no controller that brings it back, so the drain refuses it", Change: "give it a controller, or drain with force and lose it"},
		}},
		"local data": {nodes().app("db", "a", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		}), []roll.Blocker{
			{Object: "pod/p/db-0", Pod: "pod/p/db-0", Node: "a", Reason: "has an emptyDir volume, so the drain refuses it", Change: "drain with deleteEmptyDirData when that data may be lost"},
		}},
		"two pods of a budget on one node, and room for neither": {newCluster(t).nodes("a b c", "2").app("db", "a a", cpu("1")).app("full", "b c", cpu("2")).budget("db", maxUnavailable(1)), []roll.Blocker{
			{Object: "statefulset/p/db", Pod: "pod/p/db-1", Node: "a", Reason: away + " (of 2 other nodes: 2 Insufficient cpu), and poddisruptionbudget/p/db lets no more pods be away",
				Change: "have 1 of cpu free on another node, or lower the request; or let poddisruptionbudget/p/db have one more pod away: set maxUnavailable to 2 or more"},
		}},
		"pinned to a node": {nodes().app("db", "a a", pinned("kubernetes.io/hostname", "a")).budget("db", maxUnavailable(1)), []roll.Blocker{
			{Object: "statefulset/p/db", Pod: "pod/p/db-1", Node: "a", Reason: away + " (of 2 other nodes: 2 didn't match Pod's node affinity/selector), and poddisruptionbudget/p/db lets no more pods be away",
				Change: "let its node selector or affinity match another node; or let poddisruptionbudget/p/db have one more pod away: set maxUnavailable to 2 or more"},
		}},
		"tainted elsewhere": {newCluster(t).nodes("a", "4").nodes("b c", "4", tainted).app("db", "a a").budget("db", maxUnavailable(1)), []roll.Blocker{
			{Object: "statefulset/p/db", Pod: "pod/p/db-1", Node: "a", Reason: away + " (of 2 other nodes: 2 had untolerated taints), and poddisruptionbudget/p/db lets no more pods be away",
				Change: "let it tolerate the taint of another node; or let poddisruptionbudget/p/db have one more pod away: set maxUnavailable to 2 or more"},
		}},
		"spread evenly, and the cordoned node counts": {nodes().app("db", "a a b b c c", evenly).budget("db", maxUnavailable(1)), []roll.Blocker{
			{Object: "statefulset/p/db", Pod: "pod/p/db-1", Node: "a", Reason: away + " (of 2 other nodes: 2 didn't match pod topology spread constraints), and poddisruptionbudget/p/db lets no more pods be away",
				Change: "raise maxSkew, or set nodeTaintsPolicy to Honor so that a cordoned node does not count; or let poddisruptionbudget/p/db have one more pod away: set maxUnavailable to 2 or more"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			answer := tt.cluster.check(roll.Options{Nodes: []string{"a", "b", "c"}, Parallel: 1})
			g.Expect(answer.Possible).To(BeFalse())
			g.Expect(answer.Order).To(BeEmpty())
			g.Expect(json.Marshal(answer)).NotTo(ContainSubstring("null"), "policies count what is in these lists")
			g.Expect(answer.Blockers).To(Equal(tt.blockers))
		})
	}
}

func (c *cluster) other(name string, spec policyv1.PodDisruptionBudgetSpec) *cluster {
	spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "x"}}
	c.add("poddisruptionbudget/"+c.namespace+"/"+name, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name}, Spec: spec})
	return c
}

func tainted(n *corev1.Node) {
	n.Spec.Taints = []corev1.Taint{{Key: "dedicated", Value: "gpu", Effect: corev1.TaintEffectNoSchedule}}
}

// TestDrainsThatWaitForEachOther is failure d-03: each drain looks possible alone.
func TestDrainsThatWaitForEachOther(t *testing.T) {
	g := NewWithT(t)
	c := newCluster(t).nodes("a b", "4").app("x", "a b", alone).app("y", "b a", alone).budget("x", maxUnavailable(1)).budget("y", maxUnavailable(1))
	g.Expect(c.check(roll.Options{Nodes: []string{"a", "b"}, Parallel: 1}).Possible).To(BeTrue())
	both := c.check(roll.Options{Nodes: []string{"a", "b"}, Parallel: 2})
	g.Expect(both.Possible).To(BeFalse(), "a gives one pod away and b the other, and now each has one that the other's budget holds")
	g.Expect(both.Stuck).To(Equal([]string{"a", "b"}))
	g.Expect(both.Fewer).To(Equal(1))
	g.Expect(both.Blockers).To(HaveLen(1), "either of the two is enough: %+v", both.Blockers)
}

// TestAnotherOrder has a node that can only go once another, which stands empty, is back from its turn.
func TestAnotherOrder(t *testing.T) {
	g := NewWithT(t)
	cordoned := func(n *corev1.Node) { n.Spec.Unschedulable = true }
	c := newCluster(t).nodes("a", "4").nodes("b", "4", cordoned).app("db", "a a", cpu("2")).budget("db", maxUnavailable(1))
	answer := c.check(roll.Options{Nodes: []string{"a", "b"}, Parallel: 1})
	g.Expect(answer.Possible).To(BeTrue())
	g.Expect(answer.Stuck).To(Equal([]string{"a"}))
	g.Expect(answer.Order).To(Equal([]string{"b", "a"}))
}

// TestMinimal has two workloads in the way of which one is only in the way because of the other.
func TestMinimal(t *testing.T) {
	g := NewWithT(t)
	c := newCluster(t).nodes("a b", "2").app("db", "a a", cpu("1")).app("web", "b", cpu("1")).budget("db", maxUnavailable(1)).budget("web", maxUnavailable(0))
	answer := c.check(roll.Options{Nodes: []string{"a", "b"}, Parallel: 1})
	var objects []string
	for _, b := range answer.Blockers {
		objects = append(objects, b.Object)
	}
	g.Expect(objects).To(Equal([]string{"poddisruptionbudget/p/web"}), "web's budget allows nothing whatever else; db has room for one and may miss one")
}

func TestBudgetsAreNotAskedByADrainThatDeletes(t *testing.T) {
	c := newCluster(t).nodes("a b", "4").app("db", "a b").budget("db", maxUnavailable(0))
	NewWithT(t).Expect(c.check(roll.Options{Nodes: []string{"a", "b"}, Parallel: 1, Drain: roll.Drain{DisableEviction: true}}).Possible).To(BeTrue())
}
