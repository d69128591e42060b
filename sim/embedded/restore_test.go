package embedded_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/cluster"
)

// TestRestoreEtcd loses the data of two of three members, restores all from one snapshot, and looks whether the cluster is as it was then, and works.
func TestRestoreEtcd(t *testing.T) {
	t.Parallel() // it mostly waits
	g := NewWithT(t)
	f := newFixture(t, releaseDir(t), 3, 1)
	c := f.create(t)
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	g.Expect(err).NotTo(HaveOccurred())
	planes := []string{"cp-1", "cp-2", "cp-3"}
	write := func(name string) *corev1.ConfigMap {
		made, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		return made
	}

	before := write("before")
	file := filepath.Join(t.TempDir(), "snapshot.db")
	g.Expect(c.SaveSnapshot(t.Context(), "cp-2", file)).To(Succeed())
	g.Expect(c.SaveSnapshot(t.Context(), "worker-1", file)).To(MatchError(ContainSubstring(`node "worker-1" has no member`)))
	lost := write("lost")
	for _, node := range planes[:2] {
		g.Expect(c.LoseMember(t.Context(), node)).To(Succeed())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = client.CoreV1().ConfigMaps("default").Get(ctx, "before", metav1.GetOptions{})
	g.Expect(err).To(HaveOccurred(), "there is no quorum")

	var stopping errgroup.Group // each may take its components' grace
	for _, node := range planes {
		stopping.Go(func() error { return c.StopControlPlane(t.Context(), node) })
	}
	g.Expect(stopping.Wait()).To(Succeed())
	how := cluster.EtcdRestore{Token: "restored", BumpRevision: 1_000_000_000}
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	g.Expect(os.WriteFile(damaged, make([]byte, 1024), 0o600)).To(Succeed())
	_, err = c.RestoreMember(t.Context(), "cp-1", damaged, how)
	g.Expect(err).To(MatchError(ContainSubstring(`restore etcd on "cp-1"`)))
	for _, node := range planes {
		kept, err := c.RestoreMember(t.Context(), node, file, how)
		g.Expect(err).NotTo(HaveOccurred())
		if node == "cp-3" {
			g.Expect(filepath.Join(kept, "member", "snap", "db")).To(BeAnExistingFile(), "the old data is kept")
		} else {
			g.Expect(kept).To(BeEmpty(), "there was nothing left")
		}
	}
	for _, node := range planes {
		g.Expect(c.StartControlPlane(t.Context(), node)).To(Succeed())
	}
	g.Eventually(func() error {
		_, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "before", metav1.GetOptions{})
		return err
	}).WithTimeout(time.Minute).Should(Succeed())
	_, err = client.CoreV1().ConfigMaps("default").Get(t.Context(), "lost", metav1.GetOptions{})
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
	after := write("after")
	g.Expect(len(after.ResourceVersion)).To(BeNumerically(">", len(lost.ResourceVersion)), "the revision went on, and not back")
	g.Expect(before.UID).NotTo(BeEmpty())

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
