package embedded_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/cluster"
)

// TestRestoreEtcd restores etcd over data that is there, and where it was lost, and looks whether the cluster is as it was then, and works. That several members do is for restore-ha to show.
func TestRestoreEtcd(t *testing.T) {
	t.Parallel() // it mostly waits
	g := NewWithT(t)
	f := newFixture(t, releaseDir(t), 1, 1)
	c := f.create(t)
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	g.Expect(err).NotTo(HaveOccurred())
	write := func(name string) *corev1.ConfigMap {
		made, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		return made
	}

	write("before")
	file := filepath.Join(t.TempDir(), "snapshot.db")
	onNode, err := c.SaveSnapshot(t.Context(), "cp-1", file, true)
	g.Expect(err).NotTo(HaveOccurred())
	copied, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.ReadFile(onNode)).To(Equal(copied))
	onNode, err = c.SaveSnapshot(t.Context(), "cp-1", file, false)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(onNode).NotTo(BeAnExistingFile())
	_, err = c.SaveSnapshot(t.Context(), "worker-1", file, false)
	g.Expect(err).To(HaveOccurred(), "it has no member")
	lost := write("lost")
	g.Expect(c.StopComponents(t.Context(), "cp-1", []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"})).To(Succeed())

	how := cluster.EtcdRestore{Token: "restored", BumpRevision: 1_000_000_000, MarkCompacted: true}
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	g.Expect(os.WriteFile(damaged, make([]byte, 1024), 0o600)).To(Succeed())
	g.Expect(c.RestoreMember(t.Context(), "cp-1", damaged, how)).To(MatchError(ContainSubstring(`restore etcd on "cp-1"`)))
	_, size, err := c.KeptData(t.Context(), "cp-1", how.Token)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(size).To(BeZero(), "nothing was moved for a damaged snapshot")
	g.Expect(c.RestoreMember(t.Context(), "cp-1", file, how)).To(Succeed())
	kept, size, err := c.KeptData(t.Context(), "cp-1", how.Token)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(size).To(BeNumerically(">", 0), "the old data is kept")
	old, err := os.ReadFile(filepath.Join(kept, "member", "snap", "db"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.RestoreMember(t.Context(), "cp-1", file, how)).To(Succeed(), "once more, as after a kill")
	g.Expect(os.ReadFile(filepath.Join(kept, "member", "snap", "db"))).To(Equal(old), "and is not taken for what was restored")
	g.Expect(c.LoseMember(t.Context(), "cp-1")).To(Succeed())
	how.Token = "restored-again"
	g.Expect(c.RestoreMember(t.Context(), "cp-1", file, how)).To(Succeed())
	_, size, err = c.KeptData(t.Context(), "cp-1", how.Token)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(size).To(BeZero(), "there was nothing left")
	g.Expect(c.StartComponents(t.Context(), "cp-1")).To(Succeed())
	g.Eventually(func() error {
		_, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "before", metav1.GetOptions{})
		return err
	}).WithTimeout(time.Minute).Should(Succeed())
	_, err = client.CoreV1().ConfigMaps("default").Get(t.Context(), "lost", metav1.GetOptions{})
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
	after := write("after")
	g.Expect(len(after.ResourceVersion)).To(BeNumerically(">", len(lost.ResourceVersion)), "the revision went on, and not back")

	// controllers, the scheduler and the kubelets follow
	dns, err := client.AppsV1().Deployments("kube-system").GetScale(t.Context(), "coredns", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	dns.Spec.Replicas = 3
	_, err = client.AppsV1().Deployments("kube-system").UpdateScale(t.Context(), "coredns", dns, metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func() int32 {
		d, err := client.AppsV1().Deployments("kube-system").Get(t.Context(), "coredns", metav1.GetOptions{})
		if err != nil {
			return 0
		}
		return d.Status.ReadyReplicas
	}).WithTimeout(time.Minute).Should(Equal(int32(3)))
}
