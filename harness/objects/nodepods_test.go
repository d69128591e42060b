package objects

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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

// TestAwaitNodePods: the pods are looked for in every namespace, and a node without any has not been looked at.
func TestAwaitNodePods(t *testing.T) {
	boot := time.Now().Add(-time.Minute)
	podnet := func(started time.Time) *unstructured.Unstructured {
		pod := object("v1", "Pod", "kube-system", "podnet-a", map[string]any{
			"spec": map[string]any{"nodeName": "cp-2"},
			"status": map[string]any{
				"conditions":        []any{map[string]any{"type": "Ready", "status": "True"}},
				"containerStatuses": []any{map[string]any{"name": "podnet", "state": map[string]any{"running": map[string]any{"startedAt": started.UTC().Format(time.RFC3339)}}}},
			},
		})
		yes := true
		pod.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "podnet", Controller: &yes}})
		return pod
	}
	await := func(c *Client) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return c.AwaitNodePods(ctx, "cp-2", boot)
	}
	g := NewWithT(t)
	c, _ := newClient(podnet(boot.Add(-time.Hour)))
	g.Expect(await(c)).To(MatchError(ContainSubstring("pod/kube-system/podnet-a: its container podnet has not been started again")))
	c, _ = newClient(podnet(boot.Add(time.Second)))
	g.Expect(await(c)).To(Succeed())
	c, _ = newClient()
	g.Expect(await(c)).To(MatchError(ContainSubstring("last seen: none of them")))
}
