package cordon

import (
	"context"
	"io"
	"slices"
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
const looksAtMost = 4

// set marks a node that was marked the other way, and returns what was recorded of it. The controller manager follows at that look; 0: there is none that works.
func set(t *testing.T, unschedulable bool, follows int) (recorded string, err error) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	taint := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1", ResourceVersion: "before"}, Spec: corev1.NodeSpec{Unschedulable: !unschedulable}}
	other := corev1.Taint{Key: "example.com/other", Effect: corev1.TaintEffectNoSchedule}
	n.Spec.Taints = []corev1.Taint{other}
	if !unschedulable {
		n.Spec.Taints = append(n.Spec.Taints, taint)
	}
	kube := fake.NewClientset(n)
	looks := -1 // the first reads what there is to be marked
	kube.PrependReactor("get", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		looks++
		if looks == looksAtMost {
			cancel()
		}
		if follows == 0 || looks < follows {
			return false, nil, nil
		}
		now, err := kube.Tracker().Get(corev1.SchemeGroupVersion.WithResource("nodes"), "", "worker-1")
		if err != nil {
			return true, nil, err
		}
		marked := now.(*corev1.Node).DeepCopy()
		marked.ResourceVersion = "after"
		marked.Spec.Taints = []corev1.Taint{other}
		if unschedulable {
			marked.Spec.Taints = append(slices.Clip(marked.Spec.Taints), taint)
		}
		return true, marked, nil
	})
	env := &procedure.Env{Kube: kube, Log: io.Discard, Recorded: func(_ context.Context, subject, version string) error {
		recorded = subject + " " + version
		return nil
	}}
	err = Set(ctx, env, "worker-1", unschedulable)
	return recorded, err
}

// TestSet: a node is marked when the controller manager has put the taint on it, or taken it, and not when only the mark is there.
func TestSet(t *testing.T) {
	for _, unschedulable := range []bool{true, false} {
		g := NewWithT(t)
		recorded, err := set(t, unschedulable, 3)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(recorded).To(Equal("node/worker-1 after"), "what comes next is recorded after the taint")
		_, err = set(t, unschedulable, 0)
		g.Expect(err).To(MatchError(And(ContainSubstring(`node "worker-1" was set unschedulable=`), ContainSubstring("has kube-controller-manager's taint node.kubernetes.io/unschedulable, last seen: it"))))
		var failure *procedure.Failure
		g.Expect(err).To(BeAssignableToTypeOf(failure), "the cluster did not do it")
	}
}
