package objects

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestUnstarted: what counts is a start since the boot. Ready alone may be what the API still believes from before.
func TestUnstarted(t *testing.T) {
	boot := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	pod := func(ownerKind string, started time.Time, ready corev1.ConditionStatus) *corev1.Pod {
		yes := true
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Kind: ownerKind, Controller: &yes}}},
			Status: corev1.PodStatus{
				Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)}}}},
			},
		}
	}
	before, after := boot.Add(-time.Minute), boot.Add(time.Second)
	waiting := pod("Node", after, corev1.ConditionTrue)
	waiting.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"a DaemonSet's, as believed from before": {pod("DaemonSet", before, corev1.ConditionTrue), "its container main has not been started again"},
		"a DaemonSet's, started and not Ready":   {pod("DaemonSet", after, corev1.ConditionFalse), "it is not Ready"},
		"a DaemonSet's, started and Ready":       {pod("DaemonSet", after, corev1.ConditionTrue), ""},
		"a static one, waiting":                  {waiting, "its container main has not been started again"},
		"a Deployment's, which may be elsewhere": {pod("ReplicaSet", before, corev1.ConditionFalse), ""},
	} {
		NewWithT(t).Expect(unstarted(c.pod, boot)).To(Equal(c.want), name)
	}
}

// TestAwaitNodePodsIsConfirmed: a list that has nothing, as from an API server that has just been booted, is no proof.
func TestAwaitNodePodsIsConfirmed(t *testing.T) {
	g := NewWithT(t)
	pod := object("v1", "Pod", "kube-system", "podnet-a", map[string]any{
		"spec": map[string]any{"nodeName": "cp-2"},
		"status": map[string]any{"containerStatuses": []any{map[string]any{
			"name": "podnet", "state": map[string]any{"terminated": map[string]any{"exitCode": int64(137)}},
		}}},
	})
	yes := true
	pod.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "podnet", Controller: &yes}})
	c, dyn := newClient()
	lists := 0
	dyn.(*dynamicfake.FakeDynamicClient).PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
		if lists++; lists > 1 {
			list.Items = []unstructured.Unstructured{*pod}
		}
		return true, list, nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	g.Expect(c.AwaitNodePods(ctx, "cp-2", time.Now())).To(MatchError(ContainSubstring("pod/podnet-a: its container podnet has not been started again")))
	g.Expect(lists).To(BeNumerically(">", 1))
}
