package embedded_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/cluster"
)

// TestUpgrade replaces the components of a control plane by those of another folder; then by a damaged one, which must end with what was there before.
func TestUpgrade(t *testing.T) {
	t.Parallel() // it mostly waits
	g := NewWithT(t)
	dir := releaseDir(t)
	f := newFixture(t, dir, 1, 1)
	again, damaged := t.TempDir(), t.TempDir()
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		g.Expect(os.Symlink(filepath.Join(dir, name), filepath.Join(again, name))).To(Succeed())
	}
	script := "#!/bin/sh\necho 'unknown flag: --enable-bootstrap-token-auth' >&2\nexit 1\n"
	g.Expect(os.WriteFile(filepath.Join(damaged, "kube-apiserver"), []byte(script), 0o755)).To(Succeed())
	for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		g.Expect(os.Symlink(filepath.Join(dir, name), filepath.Join(damaged, name))).To(Succeed())
	}
	f.spec.FeatureGates = map[string]bool{"ContextualLogging": true}
	kubelet := "#!/bin/sh\necho \"panic: no gate $1\" >&2\nexit 2\n"
	g.Expect(os.WriteFile(filepath.Join(damaged, "kubelet"), []byte(kubelet), 0o755)).To(Succeed())
	f.others["v1.34.99"], f.others["v1.35.0"], f.others["v1.36.0"] = again, damaged, damaged
	c := f.create(t)
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	g.Expect(err).NotTo(HaveOccurred())
	image := func() string {
		pod, err := client.CoreV1().Pods("kube-system").Get(t.Context(), "kube-apiserver-cp-1", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		return pod.Spec.Containers[0].Image
	}

	g.Expect(c.UpgradeControlPlane(t.Context(), "cp-1", "v1.34.99", cluster.ControlPlaneUpgrade{First: true})).To(Succeed())
	g.Eventually(image).WithTimeout(30 * time.Second).Should(Equal("registry.k8s.io/kube-apiserver:v1.34.99"))
	g.Expect(c.UpgradeKubelet(t.Context(), "worker-1", "v1.34.99")).To(Succeed())
	g.Eventually(func() string {
		node, err := client.CoreV1().Nodes().Get(t.Context(), "worker-1", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		return node.Status.NodeInfo.KubeletVersion
	}).WithTimeout(30 * time.Second).Should(Equal("v1.34.99"))

	g.Expect(c.CheckUpgrade(t.Context(), "cp-1", "v1.35.0")).To(Succeed())
	g.Expect(c.CheckUpgrade(t.Context(), "cp-1", "v1.36.0")).To(MatchError(ContainSubstring("an upgrade goes one minor at a time")))

	refusing := cluster.FlagCheck{Component: "kubelet", Refusal: "no gate --feature-gates=ContextualLogging=true"}
	g.Expect(c.CheckFlags(t.Context(), "cp-1", "v1.35.0")).To(ConsistOf(
		cluster.FlagCheck{Component: "kube-apiserver", Refusal: "unknown flag: --enable-bootstrap-token-auth"},
		cluster.FlagCheck{Component: "kube-controller-manager"}, cluster.FlagCheck{Component: "kube-scheduler"}, refusing))
	g.Expect(c.CheckFlags(t.Context(), "worker-1", "v1.35.0")).To(ConsistOf(refusing))

	var refused *cluster.UpgradeError
	err = c.UpgradeControlPlane(t.Context(), "cp-1", "v1.35.0", cluster.ControlPlaneUpgrade{First: true})
	g.Expect(err).To(BeAssignableToTypeOf(refused))
	g.Expect(err).To(MatchError(And(ContainSubstring("upgrade kube-apiserver of node cp-1 to v1.35.0"), ContainSubstring("unknown flag: --enable-bootstrap-token-auth"))))
	_, err = client.Discovery().ServerVersion()
	g.Expect(err).NotTo(HaveOccurred(), "what was there before runs again")
	g.Expect(image()).To(Equal("registry.k8s.io/kube-apiserver:v1.34.99"))
}

// TestComponents kills one component, and pauses another.
func TestComponents(t *testing.T) {
	t.Parallel() // it mostly waits
	g := NewWithT(t)
	c := newFixture(t, releaseDir(t), 1, 0).create(t)
	g.Expect(c.Kill(t.Context(), "cp-1", "kube-scheduler")).To(Succeed())
	g.Eventually(func() ([]cluster.Restart, error) { return c.Restarts(t.Context()) }).WithTimeout(10 * time.Second).Should(ContainElement(HaveField("Component", "kube-scheduler")))
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	g.Expect(err).NotTo(HaveOccurred())
	ready := func() error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Timeout(time.Second).Do(t.Context()).Error()
	}
	g.Eventually(ready).WithTimeout(10 * time.Second).Should(Succeed())
	g.Expect(c.Pause(t.Context(), "cp-1", "etcd")).To(Succeed())
	g.Eventually(ready).WithTimeout(10 * time.Second).ShouldNot(Succeed())
	g.Expect(c.Resume(t.Context(), "cp-1", "etcd")).To(Succeed())
	g.Eventually(ready).WithTimeout(20 * time.Second).Should(Succeed())
	g.Expect(c.Kill(t.Context(), "worker-1", "etcd")).To(MatchError(ContainSubstring("it does not run there")))
}
