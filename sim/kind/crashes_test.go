package kind

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// TestCrashes: what crashes on every node is said once, with what it said last; what runs again is not said.
func TestCrashes(t *testing.T) {
	g := NewWithT(t)
	pod := func(name, node string, waiting *corev1.ContainerStateWaiting) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}, Spec: corev1.PodSpec{NodeName: node},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "kube-proxy", State: corev1.ContainerState{Waiting: waiting},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}},
			}}},
		}
	}
	backOff := &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
	c := &Cluster{client: fake.NewClientset(pod("kube-proxy-a", "worker-1", backOff), pod("kube-proxy-b", "worker-2", backOff))}
	g.Expect(errors.Join(c.crashes(t.Context())...)).To(MatchError("pod kube-proxy-a on worker-1 ended with status 1; its last lines:\n    fake logs"))
	c = &Cluster{client: fake.NewClientset(pod("kube-proxy-a", "worker-1", nil))}
	g.Expect(c.crashes(t.Context())).To(BeEmpty())
	g.Expect((&Cluster{}).crashes(t.Context())).To(BeEmpty(), "it did not come to having a client")
}
