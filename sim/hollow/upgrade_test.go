package hollow

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestSetVersion: a kubelet of another version reports it at once, and renews its lease.
func TestSetVersion(t *testing.T) {
	s := sail(t, nodes)
	s.Eventually(func() bool { // what the watch does not show yet is reported with the next lease
		_, known, _ := s.k.nodes.GetIndexer().GetByKey("worker-1")
		return known
	}).Should(BeTrue())
	s.Expect(s.k.SetVersion("worker-1", "v1.34.4")).To(Succeed())
	s.Eventually(func() string { return s.node("worker-1").Status.NodeInfo.KubeletVersion }).Should(Equal("v1.34.4"))
	s.Expect(s.node("cp-1").Status.NodeInfo.KubeletVersion).To(Equal("v1.33.1"))
	s.Expect(s.k.PowerOff("worker-1")).To(Succeed())
	s.Expect(s.k.SetVersion("worker-1", "v1.35.0")).To(MatchError(ContainSubstring("it has no power")))
	s.Expect(s.k.SetVersion("worker-9", "v1.34.4")).To(MatchError(ContainSubstring("no such hollow node")))
}

// TestSetStaticPod: another file in the manifests folder ends the pod and starts a new one, which is there when the call returns, so that components
// show in the order in which they were replaced; a node without power takes none.
func TestSetStaticPod(t *testing.T) {
	s := sail(t, nodes)
	image := func() string {
		p, err := s.client.CoreV1().Pods("kube-system").Get(t.Context(), "etcd-cp-1", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		return p.Spec.Containers[0].Image
	}
	s.Eventually(image).Should(Equal("etcd:3"))
	next := *nodes[0].StaticPods[0].DeepCopy()
	next.Spec.Containers = []corev1.Container{{Name: "etcd", Image: "etcd:4"}}
	s.Expect(s.k.SetStaticPod(t.Context(), "cp-1", next)).To(Succeed())
	s.Expect(image()).To(Equal("etcd:4"))
	s.Expect(s.k.PowerOff("cp-1")).To(Succeed())
	s.Expect(s.k.SetStaticPod(t.Context(), "cp-1", next)).To(MatchError(ContainSubstring("no power or no connection")))
}

// TestMirrorOfAnotherFile: a mirror pod that shows an earlier file of a static pod, whoever left it there, makes room for one that shows the file as it is.
func TestMirrorOfAnotherFile(t *testing.T) {
	static := nodes[0].StaticPods[0]
	left := static.DeepCopy()
	left.Name, left.UID = mirrorName(static, "cp-1"), "left"
	left.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "earlier"}
	left.Spec.NodeName = "cp-1"
	left.Spec.Containers = []corev1.Container{{Name: "etcd", Image: "etcd:2"}}
	s := sail(t, nodes, left)
	s.Eventually(func(g Gomega) {
		p, err := s.client.CoreV1().Pods("kube-system").Get(t.Context(), "etcd-cp-1", metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(p.UID).NotTo(Equal(left.UID))
		g.Expect(p.Spec.Containers[0].Image).To(Equal("etcd:3"))
		g.Expect(p.Status.Phase).To(Equal(corev1.PodRunning))
	}).Should(Succeed())
}
