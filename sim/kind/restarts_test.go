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
