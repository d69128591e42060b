package ready

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

func TestUnreadyChecks(t *testing.T) {
	g := NewWithT(t)
	g.Expect(unreadyChecks("[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]poststarthook/rbac/bootstrap-roles failed\nreadyz check failed\n")).
		To(Equal("[-]etcd failed: reason withheld; [-]poststarthook/rbac/bootstrap-roles failed"))
	g.Expect(unreadyChecks("denied\n")).To(Equal("denied"))
}

func node(name string, status corev1.ConditionStatus, taints ...corev1.Taint) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{Taints: taints},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}},
	}
}

// TestNodesNamesThoseThatAreMissing: not Ready, Ready with the taint that is not lifted yet, and not there at all.
func TestNodesNamesThoseThatAreMissing(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset(node("a", corev1.ConditionTrue), node("b", corev1.ConditionFalse),
		node("c", corev1.ConditionTrue, corev1.Taint{Key: corev1.TaintNodeNotReady}))
	g.Expect(Nodes(t.Context(), client, []string{"a"})).To(Succeed())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := Nodes(ctx, client, []string{"a", "b", "c", "d"})
	var missing *NodesError
	g.Expect(errors.As(err, &missing)).To(BeTrue())
	g.Expect(missing.Missing).To(Equal([]string{"b", "c", "d"}))
	g.Expect(err).To(MatchError(context.DeadlineExceeded))
}

func TestPollSaysWhatItLastSaw(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := Poll(ctx, "the tide turns", func(context.Context) error { return errors.New("ebb") })
	NewWithT(t).Expect(err).To(MatchError("wait until the tide turns: context deadline exceeded; last seen: ebb"))
}

// TestEndpoints: who wrote down a pod that is gone, or does not say that one is being deleted, has not caught up.
func TestEndpoints(t *testing.T) {
	deleting := metav1.Now()
	pod := func(name string, deleted *metav1.Time) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name, UID: types.UID(name), DeletionTimestamp: deleted, Finalizers: []string{"test/kept"}}}
	}
	slice := func(by string, pod string, terminating bool) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "web-1", Labels: map[string]string{discoveryv1.LabelManagedBy: by}},
			Endpoints: []discoveryv1.Endpoint{
				{TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod, UID: types.UID(pod)}, Conditions: discoveryv1.EndpointConditions{Terminating: &terminating}},
				{Addresses: []string{"10.0.0.1"}}, // no pod's
			},
		}
	}
	for name, c := range map[string]struct {
		slice *discoveryv1.EndpointSlice
		last  string
	}{
		"as they are":      {slice(sliceController, "there", false), ""},
		"leaving":          {slice(sliceController, "leaving", true), ""},
		"leaving, not yet": {slice(sliceController, "leaving", false), "endpointslice p/web-1 has pod leaving, terminating: false; the pod is there: true, and being deleted: true"},
		"gone":             {slice(sliceController, "gone", false), "endpointslice p/web-1 has pod gone, terminating: false; the pod is there: false"},
		"gone, by hand":    {slice("somebody", "gone", false), ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ctx, cancel := context.WithTimeout(t.Context(), 3*pollInterval)
			defer cancel()
			err := Endpoints(ctx, fake.NewClientset(pod("there", nil), pod("leaving", &deleting), c.slice))
			if c.last == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(c.last)))
			}
		})
	}
}
