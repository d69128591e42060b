package embedded

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/pki"
)

// readCert reads a certificate of a pki folder together with its key, which must fit.
func readCert(g Gomega, dir, name string) *x509.Certificate {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	g.Expect(err).NotTo(HaveOccurred(), name)
	return pair.Leaf
}

func TestPKIHasKubeadmsLayout(t *testing.T) {
	g := NewWithT(t)
	made, err := newAuthorities(cluster.Certificates{})
	g.Expect(err).NotTo(HaveOccurred())
	dir := t.TempDir()
	accounts, err := newAccountsKey()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(made.issuer(cluster.Certificates{}).write(dir, "cp-1", net.IPv4(172, 16, 0, 1), accounts)).To(Succeed())

	for _, leaf := range []struct {
		name, ca, commonName, organization, host string
		usage                                    x509.ExtKeyUsage
	}{
		{"apiserver", "ca", "kube-apiserver", "", "kubernetes.default.svc", x509.ExtKeyUsageServerAuth},
		{"apiserver", "ca", "kube-apiserver", "", "127.0.0.1", x509.ExtKeyUsageServerAuth},
		{"apiserver", "ca", "kube-apiserver", "", "10.96.0.1", x509.ExtKeyUsageServerAuth},
		{"apiserver-kubelet-client", "ca", "kube-apiserver-kubelet-client", adminsGroup, "", x509.ExtKeyUsageClientAuth},
		{"front-proxy-client", "front-proxy-ca", "front-proxy-client", "", "", x509.ExtKeyUsageClientAuth},
		{"apiserver-etcd-client", "etcd/ca", "kube-apiserver-etcd-client", "", "", x509.ExtKeyUsageClientAuth},
		{"etcd/server", "etcd/ca", "cp-1", "", "127.0.0.1", x509.ExtKeyUsageServerAuth},
		{"etcd/peer", "etcd/ca", "cp-1", "", "172.16.0.1", x509.ExtKeyUsageClientAuth},
		{"etcd/healthcheck-client", "etcd/ca", "kube-etcd-healthcheck-client", "", "", x509.ExtKeyUsageClientAuth},
	} {
		roots := x509.NewCertPool()
		roots.AddCert(readCert(g, dir, leaf.ca))
		cert := readCert(g, dir, leaf.name)
		_, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: leaf.host, KeyUsages: []x509.ExtKeyUsage{leaf.usage}})
		g.Expect(err).NotTo(HaveOccurred(), leaf.name)
		g.Expect(cert.Subject.CommonName).To(Equal(leaf.commonName))
		g.Expect(strings.Join(cert.Subject.Organization, ",")).To(Equal(leaf.organization))
	}
	for _, key := range []string{"ca.key", "sa.key", "etcd/ca.key"} {
		info, err := os.Stat(filepath.Join(dir, key))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)), key)
	}
	g.Expect(filepath.Join(dir, "sa.pub")).To(BeARegularFile())
}

func TestKubeconfigs(t *testing.T) {
	g := NewWithT(t)
	made, err := newAuthorities(cluster.Certificates{})
	g.Expect(err).NotTo(HaveOccurred())
	dir := t.TempDir()
	g.Expect(made.issuer(cluster.Certificates{}).writeKubeconfigs(dir, "127.0.0.1:1", "127.0.0.1:2", every)).To(Succeed())
	for file, want := range map[string]struct{ server, subject string }{
		"admin.conf":              {"https://127.0.0.1:1", "CN=kubernetes-admin,O=kubeadm:cluster-admins"},
		"super-admin.conf":        {"https://127.0.0.1:1", "CN=kubernetes-super-admin,O=system:masters"},
		"controller-manager.conf": {"https://127.0.0.1:2", "CN=system:kube-controller-manager"},
		"scheduler.conf":          {"https://127.0.0.1:2", "CN=system:kube-scheduler"},
	} {
		config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, file))
		g.Expect(err).NotTo(HaveOccurred(), file)
		g.Expect(config.Host).To(Equal(want.server), file)
		pair, err := tls.X509KeyPair(config.CertData, config.KeyData)
		g.Expect(err).NotTo(HaveOccurred(), file)
		g.Expect(pair.Leaf.Subject.String()).To(Equal(want.subject), file)
		info, err := os.Stat(filepath.Join(dir, file))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)), file)
	}
}

// TestExternalAuthority: with an authority whose key is not on the node its certificates are not renewed, and the error names the file; those of the others are.
func TestExternalAuthority(t *testing.T) {
	g := NewWithT(t)
	made, err := newAuthorities(cluster.Certificates{})
	g.Expect(err).NotTo(HaveOccurred())
	accounts, err := newAccountsKey()
	g.Expect(err).NotTo(HaveOccurred())
	dir := t.TempDir()
	g.Expect(made.issuer(cluster.Certificates{}).write(dir, "cp-1", net.IPv4(172, 16, 0, 1), accounts)).To(Succeed())
	g.Expect(os.Remove(filepath.Join(dir, "ca.key"))).To(Succeed())

	read, err := readAuthorities(dir)
	g.Expect(err).NotTo(HaveOccurred())
	i := read.issuer(cluster.Certificates{})
	before := readCert(g, dir, "etcd/server").SerialNumber
	g.Expect(i.writeLeaves(dir, "cp-1", net.IPv4(172, 16, 0, 1), func(name string) bool { return name == "etcd-server" })).To(Succeed())
	g.Expect(readCert(g, dir, "etcd/server").SerialNumber).NotTo(Equal(before))
	err = i.writeLeaves(dir, "cp-1", net.IPv4(172, 16, 0, 1), every)
	g.Expect(err).To(MatchError(ContainSubstring("/etc/kubernetes/pki/ca.key")))
	g.Expect(err).To(MatchError(pki.ErrNoKey))
}

// TestPlaced: what lies in a node's folder is said to be where a real node has it, and only what is a matter of certificates.
func TestPlaced(t *testing.T) {
	g := NewWithT(t)
	for file, want := range map[string]string{
		"pki/etcd/ca.key": "/etc/kubernetes/pki/etcd/ca.key", "admin.conf": "/etc/kubernetes/admin.conf", "kubelet/config.yaml": "/var/lib/kubelet/config.yaml",
		"kubelet/pki/kubelet-client-current.pem": "/var/lib/kubelet/pki/kubelet-client-current.pem", "kubelet/pki/kubelet-client-2026-11-28-10-00-00.pem": "",
		"root/.kube/config": "/root/.kube/config", "etcd.yaml": "", "etcd/member/snap/db": "", "encryption.yaml": "",
	} {
		g.Expect(placed(file)).To(Equal(want), file)
	}
}
