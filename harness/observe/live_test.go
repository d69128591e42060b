package observe

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestLive reads a cluster as a recording would, and says what it may not list.
func TestLive(t *testing.T) {
	g := NewWithT(t)
	kube := fake.NewClientset(
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1"}, Spec: corev1.NodeSpec{Unschedulable: true}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "web-1", Labels: map[string]string{"app": "web"}}, Spec: corev1.PodSpec{NodeName: "worker-1"}},
		&policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "web"}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}},
	)
	w, err := Live(t.Context(), kube)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.Nodes["worker-1"].Cordoned).To(BeTrue())
	g.Expect(w.Pods["p/web-1"].Budgets).To(Equal([]string{"p/web"}))
	g.Expect(w.Promised).To(BeFalse())

	kube.PrependReactor("list", "poddisruptionbudgets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("forbidden")
	})
	_, err = Live(t.Context(), kube)
	g.Expect(err).To(MatchError("list the poddisruptionbudgets of the cluster: forbidden"))
}
