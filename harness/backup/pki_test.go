package backup

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
)

// TestPKIBelow: all that control planes share is read from a folder, and nothing else. Only an authority's key may be elsewhere.
func TestPKIBelow(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	put := func(name string) {
		g.Expect(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700)).To(Succeed())
		g.Expect(os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600)).To(Succeed())
	}
	for _, name := range []string{"ca.crt", "ca.key", "etcd/ca.crt", "etcd/ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.pub", "sa.key", "apiserver.key"} {
		put(name)
	}
	paths := func(files []cluster.CertificateFile) (all []string) {
		for _, f := range files {
			all = append(all, f.Path)
			g.Expect("/etc/kubernetes/pki/" + string(f.Content)).To(Equal(f.Path))
		}
		return all
	}
	files, err := PKIBelow(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(paths(files)).To(ConsistOf(certs.Shared()))

	g.Expect(os.Remove(filepath.Join(dir, "etcd/ca.key"))).To(Succeed())
	files, err = PKIBelow(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(paths(files)).To(HaveLen(len(certs.Shared()) - 1))

	g.Expect(os.Remove(filepath.Join(dir, "sa.key"))).To(Succeed())
	_, err = PKIBelow(dir)
	g.Expect(err).To(MatchError(ContainSubstring("sa.key: no such file")))
}
