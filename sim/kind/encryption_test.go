package kind

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"github.com/seatrial/seatrial/harness/cluster"
)

// TestEncryptSecrets: all API servers have the same key, in files that nobody else reads and that go with the cluster, and one gets another.
func TestEncryptSecrets(t *testing.T) {
	g := NewWithT(t)
	f := newFakeEngine(t, "")
	client, err := f.provider.open(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	spec := cluster.Spec{Name: "a", ControlPlanes: 3, Workers: 1, EncryptSecrets: true}
	c := newCluster(f.provider.options, client, spec, Image{Version: "v1.34.4"})
	c.claimed = &claim{path: filepath.Join(f.claims, "a.json"), Name: "a", Engine: client.Engine}

	config, err := configuration(spec, c.image, false)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.encryptSecrets(config)).To(Succeed())
	var files []string
	for i, m := range c.controlPlanes() {
		dir := filepath.Join(c.claimed.keys(), m.node)
		g.Expect(config.Nodes[i].ExtraMounts).To(Equal([]v1alpha4.Mount{{HostPath: dir, ContainerPath: encryptionDir}}))
		files = append(files, filepath.Join(dir, encryptionFile))
	}
	g.Expect(config.Nodes[3].ExtraMounts).To(BeEmpty(), "a worker has no key")
	read := func(path string) string {
		info, err := os.Stat(path)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))
		content, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		return string(content)
	}
	g.Expect(read(files[0])).To(And(ContainSubstring("secretbox"), Equal(read(files[1])), Equal(read(files[2]))))

	g.Expect(c.SetEncryptionKey(t.Context(), "cp-2", cluster.NewEncryptionKey())).To(Succeed())
	g.Expect(read(files[1])).NotTo(Equal(read(files[0])))
	g.Expect(c.SetEncryptionKey(t.Context(), "worker-1", cluster.NewEncryptionKey())).To(MatchError(ContainSubstring(`"worker-1"`)))

	g.Expect(c.claimed.remove(t.Context(), client)).To(Succeed())
	g.Expect(c.claimed.keys()).NotTo(BeADirectory())

	// from then on kubeadm's arguments are a list
	c.image.Version = "v1.36.0"
	g.Expect(c.encryptSecrets(config)).To(MatchError(ContainSubstring("v1.36.0")))
}
