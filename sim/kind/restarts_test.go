package kind

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/seatrial/seatrial/harness/cluster"
)

// TestRestartsAwaitPods: a component that was there and has no pod is waited for, and named when the time is over.
func TestRestartsAwaitPods(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	c := &Cluster{client: client, restarted: map[instance]int32{{"cp-1", "kube-apiserver"}: 0}}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := c.Restarts(short)
	g.Expect(err).To(MatchError(ContainSubstring(`kube-apiserver of node "cp-1" has none`)))

	found := make(chan []cluster.Restart, 1)
	go func() {
		restarts, err := c.Restarts(t.Context())
		if err == nil {
			found <- restarts
		}
	}()
	g.Consistently(found, 200*time.Millisecond).ShouldNot(Receive())
	_, err = client.CoreV1().Pods(metav1.NamespaceSystem).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-apiserver-cp-1", Labels: map[string]string{"tier": "control-plane"}},
		Spec:       corev1.PodSpec{NodeName: "cp-1"},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "kube-apiserver"}}},
	}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(found, 10*time.Second).Should(Receive(BeEmpty()))
}

// TestSettled: what ends on a node whose components were stopped is ours to answer for until it has settled; what ends later is not, whatever its pod, which is made anew, counts.
func TestSettled(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	c := newCluster(Options{}, nil, cluster.Spec{}, Image{})
	c.client, c.restarted = client, map[instance]int32{{"cp-1", "etcd"}: 3}
	pods, pod := corev1.SchemeGroupVersion.WithResource("pods"), "etcd-cp-1"
	ends := func(at time.Time) {
		_ = client.Tracker().Delete(pods, metav1.NamespaceSystem, pod) // the first is not there yet
		g.Expect(client.Tracker().Add(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: metav1.NamespaceSystem, Labels: map[string]string{"tier": "control-plane"}},
			Spec:       corev1.PodSpec{NodeName: "cp-1"},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "etcd", RestartCount: 1, LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, FinishedAt: metav1.NewTime(at)}},
			}}},
		})).To(Succeed())
	}
	g.Expect(c.disturb("cp-1")).To(Succeed())
	g.Expect(c.Restarts(t.Context())).To(BeEmpty(), "its pod may be away")
	ends(time.Now().Add(-time.Second))
	g.Expect(c.Restarts(t.Context())).To(BeEmpty())
	g.Expect(c.Settled("cp-1")).To(Succeed())
	g.Expect(c.Restarts(t.Context())).To(BeEmpty())
	ends(time.Now().Add(time.Second))
	g.Expect(c.Restarts(t.Context())).To(ConsistOf(HaveField("Component", "etcd")))

	g.Expect(client.Tracker().Delete(pods, metav1.NamespaceSystem, pod)).To(Succeed())
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := c.Restarts(short)
	g.Expect(err).To(MatchError(ContainSubstring(`etcd of node "cp-1" has none`)), "it is to have one again")
}

// TestEndsOutliveTheirPods: what ended unasked before an upgrade made the pod anew is known afterwards too, however little the new one counts; what ended before the cluster was ready never is.
func TestEndsOutliveTheirPods(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	c := newCluster(Options{}, nil, cluster.Spec{}, Image{})
	c.client = client
	pods, pod := corev1.SchemeGroupVersion.WithResource("pods"), "kube-scheduler-cp-1"
	counts := func(restarts int32, end *corev1.ContainerStateTerminated) {
		_ = client.Tracker().Delete(pods, metav1.NamespaceSystem, pod) // the first is not there yet
		g.Expect(client.Tracker().Add(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: metav1.NamespaceSystem, Labels: map[string]string{"tier": "control-plane"}},
			Spec:       corev1.PodSpec{NodeName: "cp-1"},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "kube-scheduler", RestartCount: restarts, LastTerminationState: corev1.ContainerState{Terminated: end},
			}}},
		})).To(Succeed())
	}
	at := func(d time.Duration) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{ExitCode: 1, FinishedAt: metav1.NewTime(time.Now().Add(d))}
	}
	counts(2, at(-time.Second))
	g.Expect(c.noteRestarts(t.Context())).To(Succeed())
	g.Expect(c.Restarts(t.Context())).To(BeEmpty())
	counts(3, at(time.Second))
	c.lookForRestarts(t.Context())
	counts(0, nil)
	g.Expect(c.Restarts(t.Context())).To(HaveLen(1))
	counts(1, at(time.Minute))
	g.Expect(c.Restarts(t.Context())).To(HaveLen(2), "fewer than when the cluster was ready, and ended since")
	g.Expect(c.Restarts(t.Context())).To(HaveLen(2))
}
