package kind

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// TestSigning: the two files that a controller manager signs with move to another folder and back, and no other flag of its manifest.
func TestSigning(t *testing.T) {
	g := NewWithT(t)
	const manifest = `    - --client-ca-file=/etc/kubernetes/pki/ca.crt
    - --cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt
    - --cluster-signing-key-file=/etc/kubernetes/pki/ca.key
    - --root-ca-file=/etc/kubernetes/pki/ca.crt
`
	moved, err := signWith([]byte(manifest), "/etc/kubernetes/pki/signing")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(moved)).To(Equal(strings.NewReplacer(
		"cert-file=/etc/kubernetes/pki/", "cert-file=/etc/kubernetes/pki/signing/", "key-file=/etc/kubernetes/pki/", "key-file=/etc/kubernetes/pki/signing/",
	).Replace(manifest)))
	g.Expect(signWith(moved, "/etc/kubernetes/pki")).To(BeEquivalentTo(manifest))
	_, err = signWith([]byte("    - --root-ca-file=/etc/kubernetes/pki/ca.crt\n"), "/etc/kubernetes/pki/signing")
	g.Expect(err).To(MatchError("expected two files that it signs with, found 0"))
}
