package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"slices"

	"github.com/seatrial/seatrial/harness/trace"
)

// describe says of a certificate what is recorded of it.
func describe(found *x509.Certificate) trace.CertificateData {
	d := trace.CertificateData{
		Subject: found.Subject.String(), Issuer: found.Issuer.String(), Names: []string{}, Missing: []string{}, Serial: Serial(found),
		NotBefore: found.NotBefore.UTC(), NotAfter: found.NotAfter.UTC(), Authority: found.IsCA,
	}
	d.KeyKind, d.KeyBits = strength(found.PublicKey)
	d.Names = append(d.Names, found.DNSNames...)
	for _, ip := range found.IPAddresses {
		d.Names = append(d.Names, ip.String())
	}
	slices.Sort(d.Names)
	return d
}

// strength is the kind of a public key, and how many bits it has.
func strength(key any) (kind string, bits int) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return "RSA", key.N.BitLen()
	case *ecdsa.PublicKey:
		return "ECDSA", key.Params().BitSize
	case ed25519.PublicKey:
		return "Ed25519", 8 * len(key)
	}
	return "unknown", 0
}

// Serial is the serial number of a certificate as the recording has it.
func Serial(c *x509.Certificate) string { return c.SerialNumber.Text(16) }
