package hollow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/seatrial/seatrial/harness/cluster"
)

// sea is a fake API server with hollow nodes on it and a clock that only the test moves.
type sea struct {
	*WithT
	t      *testing.T
	client *fake.Clientset
	clock  *clocktesting.FakeClock
	k      *Kubelets

	conflicts atomic.Int64 // how many updates of pods will meet one
}

var nodes = []Node{
	{Name: "cp-1", Role: cluster.ControlPlane, KubeletVersion: "v1.33.1",
		Taints:     []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}},
		StaticPods: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "etcd"}, Spec: corev1.PodSpec{HostNetwork: true, RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "etcd", Image: "etcd:3"}}}}}},
	{Name: "worker-1", Role: cluster.Worker, KubeletVersion: "v1.32.1", Labels: map[string]string{"zone": "a"}, PodCapacity: 7},
}

// sail starts the nodes over a fake API server that holds the objects, and returns when both watches are on.
func sail(t *testing.T, nodes []Node, objects ...runtime.Object) *sea {
	t.Helper()
	s := &sea{WithT: NewWithT(t), t: t, client: fake.NewClientset(objects...), clock: clocktesting.NewFakeClock(birth)}
	s.SetDefaultEventuallyTimeout(10 * time.Second)
	var uids, watches atomic.Int64
	s.client.PrependReactor("create", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		o, err := meta.Accessor(a.(clienttesting.CreateAction).GetObject())
		if err == nil && o.GetUID() == "" {
			o.SetUID(types.UID(fmt.Sprintf("made-%d", uids.Add(1))))
		}
		return false, nil, err
	})
	s.client.PrependReactor("update", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		if s.conflicts.Add(-1) < 0 {
			return false, nil, nil
		}
		return true, nil, apierrors.NewConflict(corev1.Resource("pods"), "any", errors.New("changed"))
	})
	s.client.PrependWatchReactor("*", func(a clienttesting.Action) (bool, watch.Interface, error) {
		w, err := s.client.Tracker().Watch(a.GetResource(), a.GetNamespace())
		if err != nil {
			return true, nil, err
		}
		// The fake API server forgets what came between a list and the watch that follows it. A real one does not.
		kind := map[string]string{"pods": "Pod", "nodes": "Node"}[a.GetResource().Resource]
		list, err := s.client.Tracker().List(a.GetResource(), corev1.SchemeGroupVersion.WithKind(kind), a.GetNamespace())
		if err != nil {
			return true, nil, err
		}
		err = meta.EachListItem(list, func(o runtime.Object) error {
			w.(*watch.RaceFreeFakeWatcher).Add(o)
			return nil
		})
		watches.Add(1)
		return true, w, err
	})
	k, err := start(t.Context(), s.client, Options{Nodes: nodes}, s.clock)
	if err != nil {
		t.Fatal(err)
	}
	s.k = k
	t.Cleanup(k.Close)
	s.Eventually(watches.Load).Should(BeNumerically(">=", 2))
	return s
}

func (s *sea) node(name string) *corev1.Node {
	s.t.Helper()
	n, err := s.client.CoreV1().Nodes().Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *sea) renewed(name string) func() time.Time {
	return func() time.Time {
		l, err := s.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(s.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return time.Time{}
		}
		return l.Spec.RenewTime.Time
	}
}

func (s *sea) create(p *corev1.Pod) {
	s.t.Helper()
	if _, err := s.client.CoreV1().Pods(p.Namespace).Create(s.t.Context(), p, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// shown is the pod as a player shows it; "gone" when it is.
func (s *sea) shown(namespace, name string) func() string {
	return func() string {
		p, err := s.client.CoreV1().Pods(namespace).Get(s.t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "gone"
		}
		return play(s.t, p).shown()
	}
}

// terminate puts a deletion on the pod, which the fake API server does not.
func (s *sea) terminate(name string, grace int64) {
	s.t.Helper()
	api := s.client.CoreV1().Pods("production")
	p, err := api.Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	now := metav1.NewTime(s.clock.Now())
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &now, &grace
	if _, err := api.Update(s.t.Context(), p, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	s.Eventually(func() bool {
		o, found, err := s.k.pods.GetIndexer().GetByKey("production/" + name)
		return err == nil && found && o.(*corev1.Pod).DeletionTimestamp != nil
	}).Should(BeTrue())
}

// renews lets time pass until the node has renewed its lease so many times.
func (s *sea) renews(name string, times int) {
	s.t.Helper()
	for range times {
		before := s.renewed(name)()
		s.Eventually(func() time.Time { s.clock.Step(leaseDuration / leaseRenewals / 2); return s.renewed(name)() }).
			Should(BeTemporally(">", before), "the lease of "+name)
	}
}

// calls counts what the nodes asked of the API server, without reads.
func (s *sea) calls(verb, resource string) func() int {
	return func() int {
		n := 0
		for _, a := range s.client.Actions() {
			if a.Matches(verb, resource) || strings.Contains(resource, "/") && a.Matches(verb, strings.Split(resource, "/")[0]) && a.GetSubresource() == strings.Split(resource, "/")[1] {
				n++
			}
		}
		return n
	}
}

func (s *sea) must(err error) {
	s.t.Helper()
	s.Expect(err).NotTo(HaveOccurred())
}

func TestRegistration(t *testing.T) {
	s := sail(t, nodes)
	cp, worker := s.node("cp-1"), s.node("worker-1")
	s.Expect(cp.Labels).To(HaveKeyWithValue("node-role.kubernetes.io/control-plane", ""))
	s.Expect(cp.Spec.Taints).To(HaveLen(1))
	s.Expect(cp.Status.NodeInfo.KubeletVersion).To(Equal("v1.33.1"))
	s.Expect(cp.Status.Capacity.Pods().Value()).To(Equal(int64(110)))
	s.Expect(worker.Labels).To(And(HaveKeyWithValue("kubernetes.io/hostname", "worker-1"), HaveKeyWithValue("zone", "a"),
		Not(HaveKey("node-role.kubernetes.io/control-plane"))))
	s.Expect(worker.Status.Allocatable.Pods().Value()).To(Equal(int64(7)))
	s.Expect(healthy(worker)).To(BeTrue())
	s.Expect(cp.Status.Addresses[0].Address).NotTo(Equal(worker.Status.Addresses[0].Address))
	s.Expect(cp.Spec.PodCIDR).NotTo(Equal(worker.Spec.PodCIDR))
	lease, err := s.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), "worker-1", metav1.GetOptions{})
	s.must(err)
	s.Expect(*lease.Spec.LeaseDurationSeconds).To(Equal(int32(40)))
	s.Expect(lease.OwnerReferences).To(HaveLen(1))
	s.Expect(lease.OwnerReferences[0].UID).To(Equal(worker.UID))
}

func TestRegistrationRefused(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("the sea is closed")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := start(ctx, client, Options{Nodes: nodes}, clocktesting.NewFakeClock(birth))
	want := `start hollow nodes: 2 of 2 nodes have not registered: context deadline exceeded; the last error was: register node`
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "the sea is closed") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}

func TestInvalidOptions(t *testing.T) {
	for want, nodes := range map[string][]Node{
		`start hollow nodes: node "a": there are two of this name`:                        {{Name: "a"}, {Name: "a"}},
		`start hollow nodes: node "a": a capacity of 251 pods is not between 1 and 250`:   {{Name: "a", PodCapacity: 251}},
		`start hollow nodes: 32769 nodes are more than the 32768 there are addresses for`: make([]Node, maxNodes+1),
	} {
		if _, err := start(t.Context(), fake.NewClientset(), Options{Nodes: nodes}, clocktesting.NewFakeClock(birth)); err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

func TestAdoption(t *testing.T) {
	old := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "worker-1", UID: "old", Labels: map[string]string{"team": "x"}},
		Spec:       corev1.NodeSpec{Unschedulable: true, PodCIDR: "10.200.7.0/24"},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, LastTransitionTime: metav1.NewTime(at(-60))},
		}},
	}
	holder := "somebody"
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: "worker-1"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder},
	}
	s := sail(t, nodes[1:], old, lease)
	n := s.node("worker-1")
	s.Expect(n.UID).To(Equal(types.UID("old")))
	s.Expect(n.Spec.Unschedulable).To(BeTrue(), "a cordon is not the kubelet's to lift")
	s.Expect(n.Labels).To(And(HaveKeyWithValue("team", "x"), HaveKeyWithValue("zone", "a")))
	s.Expect(healthy(n)).To(BeTrue())
	s.Expect(s.renewed("worker-1")()).To(BeTemporally("==", birth))
	s.create(pod())
	s.Eventually(s.shown("production", "web-1")).Should(Equal("Running up ready"))
	p, err := s.client.CoreV1().Pods("production").Get(t.Context(), "web-1", metav1.GetOptions{})
	s.must(err)
	s.Expect(p.Status.PodIP).To(Equal("10.200.7.1"))
}

func TestHeartbeats(t *testing.T) {
	s := sail(t, nodes)
	for s.clock.Since(birth) < statusInterval+leaseDuration/leaseRenewals {
		s.renews("worker-1", 1)
	}
	s.Eventually(func() time.Time { return s.node("worker-1").Status.Conditions[0].LastHeartbeatTime.Time }).
		Should(BeTemporally(">=", birth.Add(statusInterval)))
	most := len(nodes) * int(s.clock.Since(birth)/statusInterval)
	s.Expect(s.calls("update", "nodes/status")()).To(BeNumerically("<=", most), "a status every five minutes for each node")
}

func TestUnhealthyNodeReportsAgain(t *testing.T) {
	s := sail(t, nodes)
	n := s.node("worker-1")
	for i := range n.Status.Conditions {
		n.Status.Conditions[i].Status = corev1.ConditionUnknown // as the node controller does
	}
	_, err := s.client.CoreV1().Nodes().UpdateStatus(t.Context(), n, metav1.UpdateOptions{})
	s.must(err)
	s.Eventually(func() bool { return healthy(s.node("worker-1")) }).Should(BeTrue())
}

func TestPodsLiveAndDie(t *testing.T) {
	s := sail(t, nodes)
	for i := range 20 {
		p := pod(AnnotationShutdown, "2s")
		p.Name = fmt.Sprintf("web-%d", i)
		p.UID = types.UID(p.Name)
		s.create(p)
	}
	addresses := map[string]bool{}
	for i := range 20 {
		name := fmt.Sprintf("web-%d", i)
		s.Eventually(s.shown("production", name)).Should(Equal("Running up ready"))
		p, err := s.client.CoreV1().Pods("production").Get(t.Context(), name, metav1.GetOptions{})
		s.must(err)
		s.Expect(p.Status.PodIP).To(HavePrefix("10.128.1."))
		addresses[p.Status.PodIP] = true
		s.must(s.k.Answer("production", name))
	}
	s.Expect(addresses).To(HaveLen(20), "each pod has an address of its own")
	s.Expect(s.calls("update", "pods/status")()).To(Equal(21), "one write per pod, the mirror pod among them")

	s.terminate("web-3", 30)
	s.must(s.k.Answer("production", "web-3"))
	s.Eventually(func() string { s.clock.Step(500 * time.Millisecond); return s.shown("production", "web-3")() }).Should(Equal("gone"))
	s.Eventually(func() error { return s.k.Answer("production", "web-3") }).Should(MatchError(`reach pod "production/web-3": no hollow node runs it`))

	s.must(s.client.CoreV1().Pods("production").Delete(t.Context(), "web-4", *metav1.NewDeleteOptions(0)))
	s.Eventually(func() error { return s.k.Answer("production", "web-4") }).Should(MatchError(ContainSubstring("no hollow node runs it")))
}

func TestConflictIsDecidedAnew(t *testing.T) {
	s := sail(t, nodes)
	s.conflicts.Store(2) // the next two status updates find a pod that was changed
	s.create(pod())
	s.Eventually(s.shown("production", "web-1")).Should(Equal("Running up ready"))
	s.Expect(s.conflicts.Load()).To(BeNumerically("<", 0), "all conflicts were met")
}

func TestMirrorPods(t *testing.T) {
	s := sail(t, nodes)
	s.Eventually(s.shown("kube-system", "etcd-cp-1")).Should(Equal("Running up ready"))
	api := s.client.CoreV1().Pods("kube-system")
	first, err := api.Get(t.Context(), "etcd-cp-1", metav1.GetOptions{})
	s.must(err)
	s.Expect(first.Annotations).To(And(HaveKey("kubernetes.io/config.mirror"), HaveKey("kubernetes.io/config.hash"),
		HaveKeyWithValue("kubernetes.io/config.source", "file")))
	s.Expect(first.OwnerReferences[0].UID).To(Equal(s.node("cp-1").UID))
	s.Expect(first.Status.PodIP).To(Equal(s.node("cp-1").Status.Addresses[0].Address))

	s.must(api.Delete(t.Context(), "etcd-cp-1", metav1.DeleteOptions{}))
	s.Eventually(func() types.UID {
		p, err := api.Get(t.Context(), "etcd-cp-1", metav1.GetOptions{})
		if err != nil {
			return first.UID
		}
		return p.UID
	}).ShouldNot(Equal(first.UID))
	s.Eventually(s.shown("kube-system", "etcd-cp-1")).Should(Equal("Running up ready"))
}

func TestPowerCut(t *testing.T) {
	s := sail(t, nodes)
	s.create(pod(AnnotationReady, "3s"))
	dying := pod(AnnotationReady, "never")
	dying.Name, dying.UID = "web-2", "uid-2"
	s.create(dying)
	s.Eventually(func() string { s.clock.Step(time.Second); return s.shown("production", "web-1")() }).Should(Equal("Running up ready"))
	s.Eventually(s.shown("production", "web-2")).Should(Equal("Running up unready"))

	s.must(s.k.PowerOff("worker-1"))
	s.must(s.k.PowerOff("worker-1"))
	cut := s.renewed("worker-1")()
	s.Expect(s.k.Answer("production", "web-1")).To(MatchError(`reach pod "production/web-1": node "worker-1" has no power`))
	s.terminate("web-2", 1)
	late := pod()
	late.Name, late.UID = "web-3", "uid-3"
	s.create(late)
	s.renews("cp-1", 6) // the other node goes on
	s.Expect(s.renewed("worker-1")()).To(BeTemporally("==", cut))
	s.Expect(s.shown("production", "web-1")()).To(Equal("Running up ready"), "nobody touches its pods")
	s.Expect(s.shown("production", "web-2")()).To(Equal("Running up unready"))
	s.Expect(s.shown("production", "web-3")()).To(Equal("Pending"))

	boot := s.clock.Now()
	s.must(s.k.PowerOn("worker-1"))
	s.must(s.k.PowerOn("worker-1"))
	s.Eventually(s.renewed("worker-1")).Should(BeTemporally(">=", boot))
	s.Eventually(s.shown("production", "web-1")).Should(Equal("Running up unready restarts=1 last=Unknown:255"))
	s.Eventually(s.shown("production", "web-2")).Should(Equal("gone"))
	s.Eventually(s.shown("production", "web-3")).Should(Equal("Running up ready"))
	s.Eventually(func() string { s.clock.Step(time.Second); return s.shown("production", "web-1")() }).
		Should(Equal("Running up ready restarts=1 last=Unknown:255"))
	s.must(s.k.Answer("production", "web-1"))
}

func TestCutOff(t *testing.T) {
	s := sail(t, nodes)
	s.create(pod())
	dying := pod()
	dying.Name, dying.UID = "web-2", "uid-2"
	s.create(dying)
	s.Eventually(s.shown("production", "web-1")).Should(Equal("Running up ready"))
	s.Eventually(s.shown("production", "web-2")).Should(Equal("Running up ready"))

	s.must(s.k.CutOff("worker-1"))
	cut := s.renewed("worker-1")()
	s.Expect(s.k.Answer("production", "web-1")).To(MatchError(ContainSubstring(`node "worker-1" is cut off`)))
	s.terminate("web-2", 0)
	s.renews("cp-1", 3) // the other node goes on
	s.Expect(s.renewed("worker-1")()).To(BeTemporally("==", cut))
	s.Expect(s.shown("production", "web-2")()).To(Equal("Running up ready"))

	s.must(s.k.Reconnect("worker-1"))
	s.Eventually(s.renewed("worker-1")).Should(BeTemporally(">", cut))
	s.Eventually(s.shown("production", "web-2")).Should(Equal("gone"))
	s.Expect(s.shown("production", "web-1")()).To(Equal("Running up ready"), "nothing is restarted")
	s.must(s.k.Answer("production", "web-1"))
}

func TestDeletedNodeStaysDeletedUntilItBoots(t *testing.T) {
	s := sail(t, nodes)
	s.must(s.client.CoreV1().Nodes().Delete(t.Context(), "worker-1", metav1.DeleteOptions{}))
	s.Eventually(func() bool {
		s.k.mu.Lock()
		defer s.k.mu.Unlock()
		return s.k.machines["worker-1"].gone
	}).Should(BeTrue())
	cut := s.renewed("worker-1")()
	s.renews("cp-1", 3) // the other node goes on
	_, err := s.client.CoreV1().Nodes().Get(t.Context(), "worker-1", metav1.GetOptions{})
	s.Expect(apierrors.IsNotFound(err)).To(BeTrue())
	s.Expect(s.renewed("worker-1")()).To(BeTemporally("==", cut))

	s.must(s.k.PowerOff("worker-1"))
	s.must(s.k.PowerOn("worker-1"))
	s.Eventually(s.renewed("worker-1")).Should(BeTemporally(">", cut))
	s.Expect(healthy(s.node("worker-1"))).To(BeTrue())
}

func TestUnknownNames(t *testing.T) {
	s := sail(t, nodes)
	s.Expect(s.k.PowerOff("x")).To(MatchError(`power off node "x": there is no such hollow node`))
	s.Expect(s.k.PowerOn("x")).To(MatchError(`power on node "x": there is no such hollow node`))
	s.Expect(s.k.CutOff("x")).To(MatchError(`cut off node "x": there is no such hollow node`))
	s.Expect(s.k.Reconnect("x")).To(MatchError(`reconnect node "x": there is no such hollow node`))
	s.Expect(s.k.Answer("production", "x")).To(MatchError(`reach pod "production/x": no hollow node runs it`))
	s.k.Close() // and once more by the clean-up
}

// TestAddressesAreReusedLast holds that an address just freed is the last to be given out again.
func TestAddressesAreReusedLast(t *testing.T) {
	m := newMachine(300, Node{Name: "worker-301"})
	if got, want := m.ip.String()+" "+m.cidr.String(), "172.16.1.45 10.129.44.0/24"; got != want {
		t.Errorf("node has %s, want %s", got, want)
	}
	first := m.address("")
	m.free(first.String())
	for range 253 {
		if a := m.address(""); a == first {
			t.Fatalf("%s was given out again before the others", a)
		}
	}
	if a := m.address(""); a != first {
		t.Errorf("the last address is %s, want %s", a, first)
	}
	m.free("10.129.44.9")
	if a := m.address("10.129.44.9"); a.String() != "10.129.44.9" {
		t.Errorf("a pod that had an address gets %s", a)
	}
}

// TestRemovedOnce: a pod that has ended is taken out of the API once, again when that failed, and so is another of its name.
func TestRemovedOnce(t *testing.T) {
	s := sail(t, nodes)
	remove := func(uid types.UID) error {
		return s.k.removeOnce(t.Context(), "default/web", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: uid}})
	}
	live := func(l *lived) {
		s.k.mu.Lock()
		defer s.k.mu.Unlock()
		if s.k.lives["default/web"] = l; l == nil {
			delete(s.k.lives, "default/web")
		}
	}
	live(&lived{})
	defer live(nil)
	refuse := true
	s.client.PrependReactor("delete", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		if refuse {
			refuse = false
			return true, nil, errors.New("refused")
		}
		return true, nil, nil
	})
	deleted := s.calls("delete", "pods")
	s.Expect(remove("1")).To(MatchError(ContainSubstring("refused")))
	s.Expect(remove("1")).To(Succeed())
	s.Expect(remove("1")).To(Succeed())
	s.Expect(deleted()).To(Equal(2))
	s.Expect(remove("2")).To(Succeed())
	s.Expect(deleted()).To(Equal(3))
}
