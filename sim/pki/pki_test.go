package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/sim/pki"
)

// TestIssue: what an authority issues is verified by it, for as long as asked, and by no other of the same name.
func TestIssue(t *testing.T) {
	g := NewWithT(t)
	now := time.Now().Truncate(time.Second)
	ca, err := pki.NewAuthority("kubernetes", now, time.Hour)
	g.Expect(err).NotTo(HaveOccurred())
	other, err := pki.NewAuthority("kubernetes", now, time.Hour)
	g.Expect(err).NotTo(HaveOccurred())
	read, err := pki.ParseAuthority(ca.Pair)
	g.Expect(err).NotTo(HaveOccurred())

	pair, err := read.Issue(pki.Subject{CommonName: "a", Organizations: []string{"b"}, Usages: pki.ClientUsage, DNSNames: []string{"c"}}, now, 4*time.Minute)
	g.Expect(err).NotTo(HaveOccurred())
	both, err := tls.X509KeyPair(pair.Cert, pair.Key)
	g.Expect(err).NotTo(HaveOccurred(), "the key is the certificate's")
	g.Expect(both.Leaf.NotAfter).To(BeTemporally("==", now.Add(4*time.Minute)))
	g.Expect(both.Leaf.Subject.String()).To(Equal("CN=a,O=b"))
	g.Expect(ca.Certificate.NotAfter).To(BeTemporally("==", now.Add(time.Hour)))
	for authority, want := range map[*pki.Authority]bool{ca: true, other: false} {
		roots := x509.NewCertPool()
		roots.AddCert(authority.Certificate)
		_, err := both.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: pki.ClientUsage})
		g.Expect(err == nil).To(Equal(want))
	}
}

// TestReplaced: only another certificate, of this authority, is one that replaced the given one.
func TestReplaced(t *testing.T) {
	g := NewWithT(t)
	ca, err := pki.NewAuthority("kubernetes", time.Now(), time.Hour)
	g.Expect(err).NotTo(HaveOccurred())
	issue := func(ca *pki.Authority) pki.Pair {
		pair, err := ca.Issue(pki.Subject{CommonName: "a"}, time.Now(), time.Hour)
		g.Expect(err).NotTo(HaveOccurred())
		return pair
	}
	given := issue(ca)
	g.Expect(ca.Replaced(slices.Concat(issue(ca).Cert, issue(ca).Key), given)).To(Succeed())
	g.Expect(ca.Replaced(slices.Concat(given.Key, given.Cert), given)).To(MatchError(ContainSubstring("it was given")))
	g.Expect(ca.Replaced(nil, given)).NotTo(Succeed(), "no file")
	other, err := pki.NewAuthority("kubernetes", time.Now(), time.Hour)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ca.Replaced(issue(other).Cert, given)).NotTo(Succeed(), "the old authority's")
}

// TestNoKey: an authority whose key is somewhere else signs nothing, and says so; a damaged one is none.
func TestNoKey(t *testing.T) {
	g := NewWithT(t)
	ca, err := pki.NewAuthority("kubernetes", time.Now(), time.Hour)
	g.Expect(err).NotTo(HaveOccurred())
	external, err := pki.ParseAuthority(pki.Pair{Cert: ca.Cert})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = external.Issue(pki.Subject{CommonName: "a"}, time.Now(), time.Hour)
	g.Expect(err).To(MatchError(pki.ErrNoKey))
	_, err = pki.ParseAuthority(pki.Pair{Cert: []byte("no")})
	g.Expect(err).To(HaveOccurred())
	_, err = pki.ParseAuthority(pki.Pair{Cert: ca.Cert, Key: []byte("no")})
	g.Expect(err).To(HaveOccurred())
}
