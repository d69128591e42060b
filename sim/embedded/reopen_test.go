package embedded_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/embedded"
)

// TestReopen kills everything that a cluster is, and starts it again from its folder: what was in it is in it, and what had another version has it still.
func TestReopen(t *testing.T) {
	t.Parallel() // it mostly waits
	g := NewWithT(t)
	dir := releaseDir(t)
	f := newFixture(t, dir, 1, 1)
	again := t.TempDir()
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		g.Expect(os.Symlink(filepath.Join(dir, name), filepath.Join(again, name))).To(Succeed())
	}
	f.others["v1.34.99"] = again

	first, err := f.provider.Create(t.Context(), f.spec)
	g.Expect(err).NotTo(HaveOccurred())
	c := first.(*embedded.Cluster)
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.UpgradeControlPlane(t.Context(), "cp-1", "v1.34.99", cluster.ControlPlaneUpgrade{First: true})).To(Succeed())
	g.Expect(c.UpgradeKubelet(t.Context(), "worker-1", "v1.34.99")).To(Succeed())
	g.Expect(c.CopyManifest(t.Context(), "cp-1", "etcd")).To(Succeed())
	g.Eventually(func() string { return kubeletOf(t, client, "worker-1") }).WithTimeout(30 * time.Second).Should(Equal("v1.34.99"))
	dns := ready(t, client)
	endpoints := stale(t, c, client)

	saved := filepath.Join(t.TempDir(), "saved")
	for _, node := range []string{"cp-1", "worker-1"} {
		g.Expect(c.PowerOff(t.Context(), node)).To(Succeed())
	}
	g.Expect(os.Remove(filepath.Join(f.spec.StateDir, "cp-1", "etcd-http.sock"))).To(Succeed(), "CopyFS takes no socket")
	g.Expect(os.CopyFS(saved, os.DirFS(f.spec.StateDir))).To(Succeed())
	g.Expect(c.Close(t.Context())).To(Succeed())
	g.Expect(os.CopyFS(f.spec.StateDir, os.DirFS(saved))).To(Succeed())

	other := f.spec
	other.ControlPlanes = 3
	_, err = f.provider.Reopen(t.Context(), other)
	g.Expect(err).To(MatchError(ContainSubstring("its state has 1 control planes, and it is to have 3")))

	second, err := f.provider.Reopen(t.Context(), f.spec)
	g.Expect(err).NotTo(HaveOccurred())
	reopened := second.(*embedded.Cluster)
	defer func() {
		g.Expect(reopened.Close(context.WithoutCancel(t.Context()))).To(Succeed())
		f.expectNothingLeft(t)
	}()
	client, err = kubernetes.NewForConfig(reopened.RESTConfig())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(kubeletOf(t, client, "worker-1")).To(Equal("v1.34.99"))
	g.Expect(kubeletOf(t, client, "cp-1")).To(Equal(reopened.Version()))
	g.Expect(endpoints(client)).To(BeEmpty(), "the pod is gone")
	g.Expect(ready(t, client)).To(Equal(dns), "no pod was replaced, and none started again")
	files, err := reopened.Manifests(t.Context(), "cp-1")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).To(ContainElement(HaveField("File", "etcd.yaml.bak")))
	pod, err := client.CoreV1().Pods("kube-system").Get(t.Context(), "kube-apiserver-cp-1", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(pod.Spec.Containers[0].Image).To(Equal("registry.k8s.io/kube-apiserver:v1.34.99"))
	g.Expect(reopened.UpgradeControlPlane(t.Context(), "cp-1", "v1.34.99", cluster.ControlPlaneUpgrade{First: true})).To(Succeed(), "its work is done")
	restarts, err := reopened.Restarts(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(restarts).To(BeEmpty())
}

// TestReopenNothing: there is no cluster in an empty folder, nor in one that holds half of one.
func TestReopenNothing(t *testing.T) {
	g := NewWithT(t)
	f := newFixture(t, t.TempDir(), 1, 0)
	_, err := f.provider.Reopen(t.Context(), f.spec)
	g.Expect(err).To(MatchError(os.ErrNotExist))
	state := filepath.Join(f.spec.StateDir, "cluster.json")
	g.Expect(os.WriteFile(state, []byte(`{"release":{"Version":"v1.34.4"},"balancer":"127.0.0.1:0","planes":[{}]}`), 0o600)).To(Succeed())
	_, err = f.provider.Reopen(t.Context(), f.spec)
	g.Expect(err).To(MatchError(ContainSubstring("read certificate authority")))
	g.Expect(state).To(BeAnExistingFile(), "another attempt may follow")
}

func kubeletOf(t *testing.T, client kubernetes.Interface, name string) string {
	t.Helper()
	node, err := client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	return node.Status.NodeInfo.KubeletVersion
}

// ready waits until the pods of CoreDNS are Ready, and returns when each became so.
func ready(t *testing.T, client kubernetes.Interface) map[string]string {
	t.Helper()
	since := map[string]string{}
	NewWithT(t).Eventually(func(g Gomega) {
		pods, err := client.CoreV1().Pods("kube-system").List(t.Context(), metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
		g.Expect(err).NotTo(HaveOccurred())
		clear(since)
		for _, pod := range pods.Items {
			for _, c := range pod.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					since[string(pod.UID)] = c.LastTransitionTime.String()
				}
			}
		}
		g.Expect(since).To(HaveLen(2))
	}).WithTimeout(time.Minute).Should(Succeed())
	return since
}

// stale makes a Service whose only pod goes when nobody is left to write that down. It returns what lists the Service's endpoints.
func stale(t *testing.T, c *embedded.Cluster, client kubernetes.Interface) func(kubernetes.Interface) ([]string, error) {
	t.Helper()
	g := NewWithT(t)
	endpoints := func(client kubernetes.Interface) (pods []string, err error) {
		all, err := client.DiscoveryV1().EndpointSlices("default").List(t.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"})
		if err != nil {
			return nil, err
		}
		for _, slice := range all.Items {
			for _, e := range slice.Endpoints {
				pods = append(pods, e.TargetRef.Name)
			}
		}
		return pods, nil
	}
	labels := map[string]string{"app": "web"}
	_, err := client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "worker-1", Containers: []corev1.Container{{Name: "web", Image: "web:v1"}}},
	}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func() ([]string, error) { return endpoints(client) }).WithTimeout(30 * time.Second).Should(Equal([]string{"web"}))
	g.Expect(c.Pause(t.Context(), "cp-1", "kube-controller-manager")).To(Succeed())
	g.Expect(client.CoreV1().Pods("default").Delete(t.Context(), "web", *metav1.NewDeleteOptions(0))).To(Succeed())
	g.Expect(endpoints(client)).To(Equal([]string{"web"}))
	return endpoints
}
