package restore

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/procedure"
)

// withFiles is a cluster of whose nodes only the certificates are known.
type withFiles struct {
	cluster.Cluster
	cluster.CertOperator
	files []cluster.CertificateFile
}

func (w withFiles) CertificateFiles(context.Context, string) ([]cluster.CertificateFile, error) {
	return w.files, nil
}

// shared are the files that control planes have the same, and one that they have each for itself.
func shared(t *testing.T) map[string]string {
	t.Helper()
	g := NewWithT(t)
	files := map[string]string{"/etc/kubernetes/pki/apiserver.key": "not shared"}
	for _, path := range certs.Shared() {
		name, isKey := strings.CutSuffix(path, ".key")
		if !isKey {
			continue
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		g.Expect(err).NotTo(HaveOccurred())
		private, err := keyutil.MarshalPrivateKeyToPEM(key)
		g.Expect(err).NotTo(HaveOccurred())
		files[path] = string(private)
		if strings.HasSuffix(name, "sa") {
			der, err := x509.MarshalPKIXPublicKey(key.Public())
			g.Expect(err).NotTo(HaveOccurred())
			files[name+".pub"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			continue
		}
		ca, err := cert.NewSelfSignedCACert(cert.Config{CommonName: filepath.Base(name)}, key)
		g.Expect(err).NotTo(HaveOccurred())
		files[name+".crt"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}))
	}
	return files
}

// TestKeepPKI: what all control planes have the same is kept for its owner alone, and what of it can't be used is not said to be there.
func TestKeepPKI(t *testing.T) {
	const ca = "/etc/kubernetes/pki/ca"
	for name, test := range map[string]struct {
		damage func(files map[string]string)
		lacks  []string
	}{
		"whole":                    {damage: func(map[string]string) {}},
		"key kept elsewhere":       {func(f map[string]string) { delete(f, ca+".key") }, []string{ca + ".key"}},
		"certificate damaged":      {func(f map[string]string) { f[ca+".crt"] = "damaged" }, []string{ca + ".crt"}},
		"key of another authority": {func(f map[string]string) { f[ca+".key"] = f["/etc/kubernetes/pki/etcd/ca.key"] }, []string{ca + ".crt"}},
		"key of another signer":    {func(f map[string]string) { f["/etc/kubernetes/pki/sa.key"] = f[ca+".key"] }, []string{"/etc/kubernetes/pki/sa.pub"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			content := shared(t)
			test.damage(content)
			var on withFiles
			for path, text := range content {
				on.files = append(on.files, cluster.CertificateFile{Path: path, Mode: 0o600, Content: []byte(text)})
			}
			file := filepath.Join(t.TempDir(), "nightly.db"+backup.PKISuffix)
			kept, err := keepPKI(t.Context(), &procedure.Env{Cluster: on}, "cp-1", file)
			g.Expect(err).NotTo(HaveOccurred())
			var want []string
			for _, path := range certs.Shared() {
				if len(test.lacks) == 0 || path != test.lacks[0] {
					want = append(want, path)
				}
			}
			g.Expect(kept).To(ConsistOf(want))
			info, err := os.Stat(file)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))
		})
	}
}

// TestPKIBelow: all that control planes share is read from a folder, and nothing else. Only an authority's key may be elsewhere, and nothing is kept that can't be used.
func TestPKIBelow(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	in := func(path string) string { return filepath.Join(dir, strings.TrimPrefix(path, "/etc/kubernetes/pki/")) }
	for path, text := range shared(t) {
		g.Expect(os.MkdirAll(filepath.Dir(in(path)), 0o700)).To(Succeed())
		g.Expect(os.WriteFile(in(path), []byte(text), 0o600)).To(Succeed())
	}
	files, err := backup.PKIBelow(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(paths(files)).To(ConsistOf(certs.Shared()))

	g.Expect(os.Remove(in("/etc/kubernetes/pki/etcd/ca.key"))).To(Succeed())
	files, err = backup.PKIBelow(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).To(HaveLen(len(certs.Shared()) - 1))

	g.Expect(os.WriteFile(in("/etc/kubernetes/pki/front-proxy-ca.crt"), nil, 0o600)).To(Succeed())
	_, err = backup.PKIBelow(dir)
	g.Expect(err).To(MatchError(ContainSubstring("front-proxy-ca.crt can't be used")))
	g.Expect(os.Remove(in("/etc/kubernetes/pki/sa.key"))).To(Succeed())
	_, err = backup.PKIBelow(dir)
	g.Expect(err).To(MatchError(ContainSubstring("sa.key: no such file")))
}
