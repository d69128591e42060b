package world

import (
	"encoding/json"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seatrial/seatrial/harness/trace"
)

// static is the mirror pod of a kubeadm component.
func static(name, image string, ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: name + "-cp-1", UID: "of-" + "image", Labels: map[string]string{"tier": "control-plane", "component": name},
			Annotations: map[string]string{mirrorAnnotation: "hash"},
		},
		Spec:   corev1.PodSpec{NodeName: "cp-1", Containers: []corev1.Container{{Name: name, Image: image}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

// TestComponents: a component is what its pod runs, keeps its place while the pod is replaced, and remembers how often it ended.
func TestComponents(t *testing.T) {
	g := NewWithT(t)
	f := NewFold()
	apply := func(kind trace.Kind, subject, change string, data any) Change {
		raw, err := json.Marshal(data)
		g.Expect(err).NotTo(HaveOccurred())
		c, err := f.Apply(trace.Event{Kind: kind, Subject: subject, Change: change, Data: raw})
		g.Expect(err).NotTo(HaveOccurred())
		return c
	}
	ended := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const subject, pod = "component/cp-1/kube-apiserver", "pod/kube-system/kube-apiserver-cp-1"
	old := static("kube-apiserver", "registry.k8s.io:5000/kube-apiserver:v1.33.13", corev1.ConditionTrue)
	c := apply(trace.KindObject, pod, trace.Existing, old)
	g.Expect(c.Touched).To(ContainElement(Ref{"components", subject}))
	g.Expect(f.World.Components[subject]).To(Equal(&Component{Node: "cp-1", Name: "kube-apiserver", Version: "v1.33.13", Ready: true, Ends: []string{}}))
	c = apply(trace.KindObject, pod, trace.Modified, old)
	g.Expect(c.Touched).NotTo(ContainElement(Ref{"components", subject}), "nothing changed")

	apply(trace.KindFact, subject, trace.Restarted, trace.RestartData{Time: ended, Error: "exit status 1"})
	apply(trace.KindObject, pod, trace.Deleted, old)
	g.Expect(f.World.Components[subject]).To(Equal(&Component{Node: "cp-1", Name: "kube-apiserver", Version: "v1.33.13", Restarts: 1, Ends: []string{"2026-01-02T03:04:05Z"}, Error: "exit status 1"}))
	apply(trace.KindObject, pod, trace.Added, static("kube-apiserver", "registry.k8s.io/kube-apiserver:v1.34.4@sha256:0", corev1.ConditionFalse))
	g.Expect(f.World.Components[subject].Version).To(Equal("v1.34.4"))
	g.Expect(f.World.Components[subject].Ready).To(BeFalse())
	g.Expect(f.World.Components[subject].Restarts).To(Equal(1))
	apply(trace.KindObject, pod, trace.Deleted, old)
	g.Expect(f.World.Components[subject].Version).To(Equal("v1.34.4"), "the pod that goes last is not the one that came last")

	proxy := static("kube-proxy", "registry.k8s.io/kube-proxy:v1.34.4", corev1.ConditionTrue)
	proxy.Annotations, proxy.Labels = nil, map[string]string{"k8s-app": "kube-proxy"}
	apply(trace.KindObject, "pod/kube-system/kube-proxy-cp-1", trace.Added, proxy)
	g.Expect(f.World.Components).To(HaveKey("component/cp-1/kube-proxy"))
	other := static("impostor", "x:v1", corev1.ConditionTrue)
	other.Namespace = "production"
	apply(trace.KindObject, "pod/production/impostor-cp-1", trace.Added, other)
	g.Expect(f.World.Components).To(HaveLen(2), "only kube-system runs components")
}
