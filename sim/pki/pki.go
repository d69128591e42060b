// Package pki makes certificate authorities and what they sign, in the form that kubeadm gives them.
//
//	ca, err := pki.NewAuthority("kubernetes", now, 10*365*24*time.Hour)
//	pair, err := ca.Issue(pki.Subject{CommonName: "kubernetes-admin", Usages: pki.ClientUsage}, now, 365*24*time.Hour)
package pki

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
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// What kubeadm's certificates live: ten years for an authority, one for what it signs.
const (
	AuthorityValidity = 10 * 365 * 24 * time.Hour
	Validity          = 365 * 24 * time.Hour
)

const (
	// authorityKeyBits is the size of an authority's RSA key.
	authorityKeyBits = 2048
	// backdate is how far certificates reach back, for clocks that differ.
	backdate = 5 * time.Minute
)

// What certificates are for.
var (
	ClientUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	ServerUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	BothUsages  = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
)

// Pair is a certificate and its key, both in PEM.
type Pair struct{ Cert, Key []byte }

// Authority is a certificate authority.
type Authority struct {
	Pair
	// Certificate is the one that signs: the first when there are several.
	Certificate *x509.Certificate
	key         crypto.Signer
}

// Subject is whom a certificate is for.
type Subject struct {
	CommonName    string
	Organizations []string
	Usages        []x509.ExtKeyUsage
	DNSNames      []string
	IPs           []net.IP
}

// ErrNoKey says that an authority's key is somewhere else.
var ErrNoKey = errors.New("the authority's key is not there: an external authority has to sign it")

// NewAuthority makes an authority. Its key is RSA-2048, which is kubeadm's default: the API server verifies the signature of a client's certificate at each request, which takes a third as
// long as with ECDSA. What it issues has ECDSA P-256 keys, which kubeadm offers as encryptionAlgorithm ECDSA-P256, because they are made in no time.
func NewAuthority(name string, now time.Time, validity time.Duration) (*Authority, error) {
	key, err := rsa.GenerateKey(rand.Reader, authorityKeyBits)
	if err != nil {
		return nil, err
	}
	a := &Authority{key: key}
	a.Pair, err = a.sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		DNSNames:              []string{name},
		NotBefore:             now.Add(-backdate).UTC(),
		NotAfter:              now.Add(validity).UTC(),
		KeyUsage:              x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}, key)
	if err != nil {
		return nil, err
	}
	return ParseAuthority(a.Pair)
}

// ParseAuthority reads an authority. One without a key signs nothing.
func ParseAuthority(pair Pair) (*Authority, error) {
	certs, err := cert.ParseCertsPEM(pair.Cert)
	if err != nil {
		return nil, err
	}
	a := &Authority{Pair: pair, Certificate: certs[0]}
	if len(pair.Key) == 0 {
		return a, nil
	}
	key, err := keyutil.ParsePrivateKeyPEM(pair.Key)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("its key is a %T, which signs nothing", key)
	}
	a.key = signer
	return a, nil
}

// Issue makes a key and a certificate for it that is valid from now for that long. It fails with [ErrNoKey] when the authority has none.
func (a *Authority) Issue(s Subject, now time.Time, validity time.Duration) (Pair, error) {
	if a.key == nil {
		return Pair{}, fmt.Errorf("issue certificate %q: %w", s.CommonName, ErrNoKey)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("issue certificate %q: %w", s.CommonName, err)
	}
	pair, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: s.CommonName, Organization: s.Organizations},
		DNSNames:    s.DNSNames,
		IPAddresses: s.IPs,
		NotBefore:   now.Add(-backdate).UTC(),
		NotAfter:    now.Add(validity).UTC(),
		KeyUsage:    x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: s.Usages,
	}, key)
	if err != nil {
		return Pair{}, fmt.Errorf("issue certificate %q: %w", s.CommonName, err)
	}
	return pair, nil
}

// Replaced is an error unless a file's first certificate is another than the given one, and signed by the authority.
func (a *Authority) Replaced(file []byte, given Pair) error {
	now, err := cert.ParseCertsPEM(file)
	if err != nil {
		return err
	}
	before, err := cert.ParseCertsPEM(given.Cert)
	if err != nil {
		return err
	}
	if now[0].Equal(before[0]) {
		return errors.New("it is the one that it was given")
	}
	return now[0].CheckSignatureFrom(a.Certificate)
}

// Client is how a client proves with a certificate that the authority issued who it is, to servers that the authority vouches for.
func (a *Authority) Client(pair Pair) (*tls.Config, error) {
	client, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(a.Cert) // all that its file has
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted, Certificates: []tls.Certificate{client}}, nil
}

// sign signs the certificate of a key. An authority that has no certificate yet signs its own.
func (a *Authority) sign(template *x509.Certificate, key crypto.Signer) (pair Pair, err error) {
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return pair, err
	}
	parent := a.Certificate
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		return pair, err
	}
	pair.Cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pair.Key, err = keyutil.MarshalPrivateKeyToPEM(key)
	return pair, err
}
