package kind

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
)

// These tests make clusters with the machine's engine. `make kind` builds the node image, names it in the variable, and runs them.
const imageVariable = "SEATRIAL_TEST_NODE_IMAGE"

// realProvider is the provider with this machine's engine, and what it recorded of commands.
func realProvider(t *testing.T) *Provider {
	t.Helper()
	ref := os.Getenv(imageVariable)
	if ref == "" {
		t.Skipf("SKIP: %s names no node image: make kind sets it", imageVariable)
	}
	supervisor := newSupervisor(t)
	return New(Options{
		Supervisor: supervisor, Dir: t.TempDir(),
		Engine: func(ctx context.Context) (*engine.Client, error) { return engine.Open(ctx, supervisor, "") },
		Images: func(context.Context, string, []string, bool, io.Writer) (Image, error) {
			return Image{Ref: ref, Version: "v" + ref[len(ref)-len("1.34.4"):]}, nil
		},
	})
}

func realSpec(t *testing.T, name string, workers int) cluster.Spec {
	return cluster.Spec{
		Name: "seatrial-test-" + name, KubernetesVersion: "v1.34", ControlPlanes: 1, Workers: workers,
		Dir: t.TempDir(), StateDir: t.TempDir(), Progress: t.Output(),
	}
}

// TestEngineFaults brings each fault about on one cluster, and looks what the cluster makes of it.
func TestEngineFaults(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := realProvider(t)
	spec := realSpec(t, "faults", 2)
	spec.Disks = true
	commands := make(chan cluster.Command, 100)
	spec.OnCommand = func(c cluster.Command) { commands <- c }
	made, err := p.Create(t.Context(), spec)
	g.Expect(err).NotTo(HaveOccurred())
	c := made.(*Cluster)
	t.Cleanup(func() { g.Expect(c.Close(context.Background())).To(Succeed()) })
	g.Expect(c.Restarts(t.Context())).To(BeEmpty())

	t.Run("nodes of an image without the workload are given it", func(t *testing.T) {
		g := NewWithT(t)
		dir := t.TempDir()
		program, archive := filepath.Join(dir, "workload"), filepath.Join(dir, "workload.tar")
		inNode := func(m machine, argv ...string) (string, error) {
			return c.engine.Output(t.Context(), append([]string{"exec", m.container}, argv...)...)
		}
		g.Expect(c.engine.Do(t.Context(), engine.Command{Args: []string{"cp", c.machines[0].container + ":" + proberPath, program}})).To(Succeed())
		image, err := os.Create(archive)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(c.engine.Do(t.Context(), engine.Command{
			Args: []string{"exec", c.machines[0].container, "ctr", "--namespace=k8s.io", "images", "export", "-", "seatrial.dev/workload:v1"}, Stdout: image,
		})).To(Succeed())
		g.Expect(image.Close()).To(Succeed())
		for _, m := range c.machines {
			_, err := inNode(m, "rm", proberPath)
			g.Expect(err).NotTo(HaveOccurred())
			_, err = inNode(m, "ctr", "--namespace=k8s.io", "images", "rm", "--sync", "seatrial.dev/workload:v1")
			g.Expect(err).NotTo(HaveOccurred())
		}
		c.options.Workload = func(_ context.Context, do func(program, archive string) error) error { return do(program, archive) }
		g.Expect(c.equip(t.Context())).To(Succeed())
		for _, m := range c.machines {
			_, err := inNode(m, "test", "-x", proberPath)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(inNode(m, "ctr", "--namespace=k8s.io", "images", "ls", "--quiet")).To(ContainSubstring("seatrial.dev/workload:v1"))
			g.Expect(<-commands).To(HaveField("Argv", HaveExactElements("ctr", "--namespace=k8s.io", "images", "import", "-")))
		}
	})
	t.Run("a component is killed, and the kubelet starts another", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(c.Kill(t.Context(), "cp-1", "kube-scheduler")).To(Succeed())
		g.Eventually(func() ([]cluster.Restart, error) { return c.Restarts(t.Context()) }, time.Minute, time.Second).Should(
			ConsistOf(And(HaveField("Node", "cp-1"), HaveField("Component", "kube-scheduler"))))
		g.Expect(<-commands).To(And(HaveField("Node", "cp-1"), HaveField("Argv", HaveExactElements("kill", "-KILL", MatchRegexp(`^\d+$`)))))
	})
	t.Run("a component stands still, and goes on", func(t *testing.T) {
		g := NewWithT(t)
		client, err := kubernetes.NewForConfig(c.APIServers()[0].Config)
		g.Expect(err).NotTo(HaveOccurred())
		ready := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		}
		g.Expect(c.Pause(t.Context(), "cp-1", "kube-apiserver")).To(Succeed())
		g.Expect(ready()).To(MatchError(context.DeadlineExceeded))
		g.Expect(c.Resume(t.Context(), "cp-1", "kube-apiserver")).To(Succeed())
		g.Eventually(ready, 20*time.Second).Should(Succeed())
	})
	t.Run("what does not run can't be killed", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(c.Kill(t.Context(), "worker-1", "kube-apiserver")).To(MatchError(`send KILL to kube-apiserver on node "worker-1": it does not run there`))
		g.Expect(c.Kill(t.Context(), "worker-9", "kubelet")).To(MatchError(ContainSubstring(`no node "worker-9"`)))
	})
	t.Run("at once", func(t *testing.T) {
		t.Run("a node is cut off, and connected again", func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			ready := condition(t, c, "worker-1", corev1.NodeReady)
			g.Expect(c.CutOff(t.Context(), "worker-1")).To(Succeed())
			g.Eventually(ready, 90*time.Second, time.Second).Should(Equal(corev1.ConditionUnknown))
			g.Expect(c.Reconnect(t.Context(), "worker-1")).To(Succeed())
			g.Eventually(ready, time.Minute, time.Second).Should(Equal(corev1.ConditionTrue))
		})
		t.Run("a worker's disk is full, and has room again", func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			pressure := condition(t, c, "worker-2", corev1.NodeDiskPressure)
			g.Expect(c.FillDisk(t.Context(), "worker-2")).To(Succeed())
			g.Eventually(pressure, time.Minute, time.Second).Should(Equal(corev1.ConditionTrue))
			g.Expect(c.FreeDisk(t.Context(), "worker-2")).To(Succeed())
			g.Eventually(pressure, 90*time.Second, time.Second).Should(Equal(corev1.ConditionFalse))
		})
	})
	t.Run("a disk that is not there can't be filled", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(c.FillDisk(t.Context(), "worker-9")).To(MatchError(ContainSubstring(`no node "worker-9"`)))
	})
	t.Run("etcd ends on a full disk, and comes back with what it had", func(t *testing.T) {
		g := NewWithT(t)
		write := func(name string) error {
			_, err := c.client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{GenerateName: name}, Data: map[string]string{"ballast": strings.Repeat("x", 500<<10)},
			}, metav1.CreateOptions{})
			return err
		}
		g.Expect(write("before-")).To(Succeed())
		g.Expect(c.FillDisk(t.Context(), "cp-1")).To(Succeed())
		g.Eventually(func() error { return write("meanwhile-") }, time.Minute, 100*time.Millisecond).ShouldNot(Succeed())
		g.Expect(c.FreeDisk(t.Context(), "cp-1")).To(Succeed())
		g.Eventually(func() error { return write("after-") }, 2*time.Minute, time.Second).Should(Succeed())
		kept, err := c.client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(kept.Items).To(ContainElement(HaveField("Name", HavePrefix("before-"))))
	})
	t.Run("the control plane loses its power, and comes back with its address", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(c.PowerOff(t.Context(), "cp-1")).To(Succeed())
		_, err := c.client.CoreV1().Nodes().Get(t.Context(), "cp-1", metav1.GetOptions{})
		g.Expect(err).To(HaveOccurred())
		g.Expect(c.PowerOn(t.Context(), "cp-1")).To(Succeed())
		g.Expect(c.address(t.Context(), c.machines[0])).To(Equal(c.addresses["cp-1"]))
		g.Eventually(condition(t, c, "cp-1", corev1.NodeReady), 2*time.Minute, time.Second).Should(Equal(corev1.ConditionTrue))
	})
}

// condition asks for a condition of a node; "" while nobody answers.
func condition(t *testing.T, c *Cluster, name string, kind corev1.NodeConditionType) func() corev1.ConditionStatus {
	return func() corev1.ConditionStatus {
		node, err := c.client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return ""
		}
		for _, is := range node.Status.Conditions {
			if is.Type == kind {
				return is.Status
			}
		}
		return ""
	}
}

// TestEngineNodeNeverReady: a worker whose kubelet does not start. The creation ends with its time, and says what the kubelet said; nothing is left.
func TestEngineNodeNeverReady(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := realProvider(t)
	p.options.patch = func(config *v1alpha4.Cluster) {
		worker := &config.Nodes[1]
		worker.KubeadmConfigPatches = append(worker.KubeadmConfigPatches,
			"kind: JoinConfiguration\nnodeRegistration:\n  kubeletExtraArgs:\n    flag-of-the-future: \"true\"\n")
	}
	client, err := p.open(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	spec := realSpec(t, "unready", 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Create(ctx, spec)
		ended <- err
	}()
	// kubeadm would wait four minutes for it: the time that a creation has is over when the kubelet has failed.
	kubelet := func() (string, error) {
		return client.Output(t.Context(), "exec", spec.Name+"-worker", "journalctl", "--unit", "kubelet", "--no-pager")
	}
	g.Eventually(kubelet, 5*time.Minute, time.Second).Should(ContainSubstring("flag-of-the-future"))
	cancel()
	g.Eventually(ended, time.Minute).Should(Receive(&err))
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(err).To(MatchError(ContainSubstring("the last lines of the kubelet of worker-1")))
	g.Expect(err).To(MatchError(ContainSubstring("flag-of-the-future")))
	g.Expect(client.Lines(t.Context(), "ps", "--all", "--quiet", "--filter", "label="+clusterLabel+"="+spec.Name)).To(BeEmpty())
}
