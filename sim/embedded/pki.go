package embedded

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/keyutil"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/pki"
)

// authorities are what the nodes of a cluster share, each by its file in the pki folder, without what that ends with.
type authorities map[string]*pki.Authority

const (
	kubernetesCA = "ca"
	etcdCA       = "etcd/ca"
	frontProxyCA = "front-proxy-ca"
)

// authorityNames are how kubeadm names them, by their file.
var authorityNames = map[string]string{kubernetesCA: "kubernetes", etcdCA: "etcd-ca", frontProxyCA: "front-proxy-ca"}

// issuer issues the certificates of a cluster.
type issuer struct {
	authorities
	now      time.Time
	validity time.Duration
}

func (i issuer) issue(by string, s pki.Subject) (pki.Pair, error) {
	pair, err := i.authorities[by].Issue(s, i.now, i.validity)
	if errors.Is(err, pki.ErrNoKey) {
		err = fmt.Errorf("/etc/kubernetes/pki/%s.key: %w", by, err)
	}
	return pair, err
}

// issuer is with the validity that the cluster's certificates are to have.
func (a authorities) issuer(lives cluster.Certificates) issuer {
	return issuer{authorities: a, now: time.Now(), validity: cmp.Or(lives.Validity, pki.Validity)}
}

// newAuthorities makes the authorities.
func newAuthorities(lives cluster.Certificates) (authorities, error) {
	made := authorities{}
	for file, name := range authorityNames {
		a, err := newAuthority(name, lives)
		if err != nil {
			return nil, err
		}
		made[file] = a
	}
	return made, nil
}

// newAuthority makes one.
func newAuthority(name string, lives cluster.Certificates) (*pki.Authority, error) {
	a, err := pki.NewAuthority(name, time.Now(), cmp.Or(lives.AuthorityValidity, pki.AuthorityValidity))
	if err != nil {
		return nil, fmt.Errorf("make certificate authority %q: %w", name, err)
	}
	return a, nil
}

// readAuthorities reads those in a node's pki folder. One whose key is somewhere else signs nothing.
func readAuthorities(dir string) (authorities, error) {
	read := authorities{}
	for file, name := range authorityNames {
		pair, err := readPair(filepath.Join(dir, file))
		if err == nil {
			read[file], err = pki.ParseAuthority(pair)
		}
		if err != nil {
			return nil, fmt.Errorf("read certificate authority %q: %w", name, err)
		}
	}
	return read, nil
}

func readPair(path string) (pair pki.Pair, err error) {
	if pair.Cert, err = os.ReadFile(path + ".crt"); err != nil {
		return pair, err
	}
	pair.Key, err = os.ReadFile(path + ".key")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return pair, err
}

func writePair(path string, pair pki.Pair) error {
	if err := os.WriteFile(path+".crt", pair.Cert, 0o644); err != nil {
		return err
	}
	return os.WriteFile(path+".key", pair.Key, 0o600)
}

// write fills a node's pki folder as kubeadm does: the same names, subjects and usages
// (https://kubernetes.io/docs/setup/best-practices/certificates/).
func (i issuer) write(dir, node string, ip net.IP, accounts *ecdsa.PrivateKey) error {
	if err := os.MkdirAll(filepath.Join(dir, "etcd"), 0o700); err != nil {
		return err
	}
	for file, authority := range i.authorities {
		if err := writePair(filepath.Join(dir, file), authority.Pair); err != nil {
			return err
		}
	}
	if err := i.writeLeaves(dir, node, ip, every); err != nil {
		return err
	}
	return writeAccountsKey(dir, accounts)
}

// every is all certificates and kubeconfigs.
func every(string) bool { return true }

// writeLeaves issues those of a node's certificates that are wanted, by the names that kubeadm has for them.
// https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-certs/
func (i issuer) writeLeaves(dir, node string, ip net.IP, wanted func(name string) bool) error {
	local := []net.IP{net.ParseIP(loopback), net.IPv6loopback, ip}
	machine := []string{node, "localhost"}
	api := pki.Subject{
		CommonName: "kube-apiserver", Usages: pki.ServerUsage,
		DNSNames: []string{node, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + dnsDomain, "localhost"},
		IPs:      append(local, net.ParseIP(apiServiceIP)),
	}
	member := pki.Subject{CommonName: node, Usages: pki.BothUsages, DNSNames: machine, IPs: local}
	client := func(name string, groups ...string) pki.Subject {
		return pki.Subject{CommonName: name, Organizations: groups, Usages: pki.ClientUsage}
	}
	leaves := []struct {
		name, file, by string
		subject        pki.Subject
	}{
		{"apiserver", "apiserver", kubernetesCA, api},
		{"apiserver-kubelet-client", "apiserver-kubelet-client", kubernetesCA, client("kube-apiserver-kubelet-client", adminsGroup)},
		{"front-proxy-client", "front-proxy-client", frontProxyCA, client("front-proxy-client")},
		{"apiserver-etcd-client", "apiserver-etcd-client", etcdCA, client("kube-apiserver-etcd-client")},
		{"etcd-server", "etcd/server", etcdCA, member},
		{"etcd-peer", "etcd/peer", etcdCA, member},
		{"etcd-healthcheck-client", "etcd/healthcheck-client", etcdCA, client("kube-etcd-healthcheck-client")},
	}
	for _, leaf := range leaves {
		if !wanted(leaf.name) {
			continue
		}
		pair, err := i.issue(leaf.by, leaf.subject)
		if err != nil {
			return err
		}
		if err := writePair(filepath.Join(dir, leaf.file), pair); err != nil {
			return err
		}
	}
	return nil
}

// newAccountsKey makes the key that signs service account tokens.
func newAccountsKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// writeAccountsKey writes it.
func writeAccountsKey(dir string, key *ecdsa.PrivateKey) error {
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "sa.key"), keyPEM, 0o600); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "sa.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644)
}
