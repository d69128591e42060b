package embedded

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/keyutil"
)

// authorityKeyBits is the size of an authority's RSA key.
const authorityKeyBits = 2048

// The validity of certificates is kubeadm's: ten years for an authority, one for what it signs.
const (
	authorityValidity   = 10 * 365 * 24 * time.Hour
	certificateValidity = 365 * 24 * time.Hour
	// backdate is how far certificates reach back, for clocks that differ.
	backdate = 5 * time.Minute
)

// authority is a certificate authority.
type authority struct {
	keyPair
	cert *x509.Certificate
}

// keyPair is a certificate and its key, both in PEM.
type keyPair struct {
	certPEM, keyPEM []byte
	key             crypto.Signer
}

// subject is whom a certificate is for.
type subject struct {
	commonName    string
	organizations []string
	usages        []x509.ExtKeyUsage
	dnsNames      []string
	ips           []net.IP
}

// pki is what the nodes of a cluster share: the authorities and the key that signs service account tokens.
type pki struct {
	now                          time.Time
	kubernetes, etcd, frontProxy *authority
	accounts                     *ecdsa.PrivateKey
}

// newPKI makes the authorities. Their keys are RSA-2048, which is kubeadm's default: the API server verifies the signature of a client's
// certificate at each request, which takes a third as long as with ECDSA. All others are ECDSA P-256, which kubeadm offers as
// encryptionAlgorithm ECDSA-P256, because they are made in no time.
func newPKI(now time.Time) (*pki, error) {
	p := &pki{now: now}
	for name, ca := range map[string]**authority{"kubernetes": &p.kubernetes, "etcd-ca": &p.etcd, "front-proxy-ca": &p.frontProxy} {
		made, err := newAuthority(name, now)
		if err != nil {
			return nil, fmt.Errorf("make certificate authority %q: %w", name, err)
		}
		*ca = made
	}
	var err error
	p.accounts, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return p, err
}

// readPKI reads the authorities that write left in a node's pki folder. The key that signs service account tokens stays there: it is not written again.
func readPKI(dir string, now time.Time) (*pki, error) {
	p := &pki{now: now}
	for name, ca := range map[string]**authority{"ca": &p.kubernetes, "etcd/ca": &p.etcd, "front-proxy-ca": &p.frontProxy} {
		read, err := readAuthority(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("read certificate authority %q: %w", name, err)
		}
		*ca = read
	}
	return p, nil
}

func readAuthority(path string) (*authority, error) {
	pair, err := tls.LoadX509KeyPair(path+".crt", path+".key")
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("its key is a %T, which signs nothing", pair.PrivateKey)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, err
	}
	return &authority{keyPair: keyPair{certPEM: encode("CERTIFICATE", pair.Leaf.Raw), keyPEM: keyPEM, key: key}, cert: pair.Leaf}, nil
}

func newAuthority(name string, now time.Time) (*authority, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		DNSNames:              []string{name},
		NotBefore:             now.Add(-backdate).UTC(),
		NotAfter:              now.Add(authorityValidity).UTC(),
		KeyUsage:              x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	key, err := rsa.GenerateKey(rand.Reader, authorityKeyBits)
	if err != nil {
		return nil, err
	}
	pair, err := sign(template, key, nil)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(pair.certPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	return &authority{keyPair: *pair, cert: cert}, nil
}

// issue makes a key and a certificate for it.
func (a *authority) issue(s subject, now time.Time) (*keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("issue certificate %q: %w", s.commonName, err)
	}
	pair, err := sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: s.commonName, Organization: s.organizations},
		DNSNames:    s.dnsNames,
		IPAddresses: s.ips,
		NotBefore:   now.Add(-backdate).UTC(),
		NotAfter:    now.Add(certificateValidity).UTC(),
		KeyUsage:    x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: s.usages,
	}, key, a)
	if err != nil {
		return nil, fmt.Errorf("issue certificate %q: %w", s.commonName, err)
	}
	return pair, nil
}

// sign signs the certificate of a key with the authority's key, or with the key itself when there is none.
func sign(template *x509.Certificate, key crypto.Signer, by *authority) (_ *keyPair, err error) {
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, err
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, err
	}
	return &keyPair{certPEM: encode("CERTIFICATE", der), keyPEM: keyPEM, key: key}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

var (
	clientUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	serverUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	bothUsages  = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
)

// write fills a node's pki folder as kubeadm does: the same names, subjects and usages
// (https://kubernetes.io/docs/setup/best-practices/certificates/).
func (p *pki) write(dir, node string, ip net.IP) error {
	if err := os.MkdirAll(filepath.Join(dir, "etcd"), 0o700); err != nil {
		return err
	}
	for name, authority := range map[string]*authority{"ca": p.kubernetes, "front-proxy-ca": p.frontProxy, "etcd/ca": p.etcd} {
		if err := writePair(filepath.Join(dir, name), &authority.keyPair); err != nil {
			return err
		}
	}
	if err := p.writeLeaves(dir, node, ip, func(string) bool { return true }); err != nil {
		return err
	}
	return p.writeAccountsKey(dir)
}

// renew issues anew what kubeadm renews when it upgrades a control plane whose etcd stays: the certificates of the API server and of its clients.
func (p *pki) renew(dir, node string, ip net.IP) error {
	return p.writeLeaves(dir, node, ip, func(name string) bool { return filepath.Dir(name) == "." })
}

// writeLeaves issues those of a node's certificates that are wanted.
func (p *pki) writeLeaves(dir, node string, ip net.IP, wanted func(name string) bool) error {
	local := []net.IP{net.ParseIP(loopback), net.IPv6loopback, ip}
	machine := []string{node, "localhost"}
	api := subject{
		commonName: "kube-apiserver", usages: serverUsage,
		dnsNames: []string{node, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + dnsDomain, "localhost"},
		ips:      append(local, net.ParseIP(apiServiceIP)),
	}
	leaves := []struct {
		name string
		by   *authority
		subject
	}{
		{"apiserver", p.kubernetes, api},
		{"apiserver-kubelet-client", p.kubernetes, subject{commonName: "kube-apiserver-kubelet-client", organizations: []string{adminsGroup}, usages: clientUsage}},
		{"front-proxy-client", p.frontProxy, subject{commonName: "front-proxy-client", usages: clientUsage}},
		{"apiserver-etcd-client", p.etcd, subject{commonName: "kube-apiserver-etcd-client", usages: clientUsage}},
		{"etcd/server", p.etcd, subject{commonName: node, usages: bothUsages, dnsNames: machine, ips: local}},
		{"etcd/peer", p.etcd, subject{commonName: node, usages: bothUsages, dnsNames: machine, ips: local}},
		{"etcd/healthcheck-client", p.etcd, subject{commonName: "kube-etcd-healthcheck-client", usages: clientUsage}},
	}
	for _, leaf := range leaves {
		if !wanted(leaf.name) {
			continue
		}
		pair, err := leaf.by.issue(leaf.subject, p.now)
		if err != nil {
			return err
		}
		if err := writePair(filepath.Join(dir, leaf.name), pair); err != nil {
			return err
		}
	}
	return nil
}

func writePair(path string, pair *keyPair) error {
	if err := os.WriteFile(path+".crt", pair.certPEM, 0o644); err != nil {
		return err
	}
	return os.WriteFile(path+".key", pair.keyPEM, 0o600)
}

// writeAccountsKey writes the key that signs service account tokens.
func (p *pki) writeAccountsKey(dir string) error {
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(p.accounts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "sa.key"), keyPEM, 0o600); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(p.accounts.Public())
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "sa.pub"), encode("PUBLIC KEY", der), 0o644)
}
