package cordon

import (
	"context"
	"io"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/seatrial/seatrial/harness/procedure"
)

// looksAtMost is how often the node is looked at before the op's time is over.
const looksAtMost = 5

// set marks a node that was marked the other way, and returns what was recorded of it. The controller manager puts its taint on the node at that look; 0: there is none that works.
func set(t *testing.T, unschedulable bool, taints int) (recorded string, err error) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1", ResourceVersion: "before"}, Spec: corev1.NodeSpec{
		Unschedulable: !unschedulable, Taints: []corev1.Taint{{Key: "example.com/other", Effect: corev1.TaintEffectNoSchedule}},
	}}
	kube := fake.NewClientset(n)
	looks := 0
	kube.PrependReactor("get", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		if looks++; looks == looksAtMost {
			cancel()
		}
		if taints == 0 || looks < taints {
			return false, nil, nil
		}
		now, err := kube.Tracker().Get(corev1.SchemeGroupVersion.WithResource("nodes"), "", "worker-1")
		if err != nil {
			return true, nil, err
		}
		tainted := now.(*corev1.Node).DeepCopy()
		tainted.ResourceVersion = "tainted"
		tainted.Spec.Taints = append(tainted.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
		return true, tainted, nil
	})
	env := &procedure.Env{Kube: kube, Log: io.Discard, Recorded: func(_ context.Context, subject, version string) error {
		recorded = subject + " " + version
		return nil
	}}
	err = Set(ctx, env, "worker-1", unschedulable)
	return recorded, err
}

// TestSet: a cordon has happened when the controller manager has put its taint on the node, and what comes next is recorded after that. An uncordon waits for nobody.
func TestSet(t *testing.T) {
	g := NewWithT(t)
	recorded, err := set(t, true, 4)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(recorded).To(Equal("node/worker-1 tainted"))

	recorded, err = set(t, true, 0)
	g.Expect(err).To(BeAssignableToTypeOf(&procedure.Failure{}), "the cluster did not do it")
	g.Expect(err).To(MatchError(And(ContainSubstring(`node "worker-1" was set unschedulable`), ContainSubstring("taint node.kubernetes.io/unschedulable, last seen: it does not have it"))))
	g.Expect(recorded).To(BeEmpty())

	recorded, err = set(t, false, 0)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(recorded).To(Equal("node/worker-1 before"))
}
