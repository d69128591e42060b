package certs_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/scenario"
)

// TestNames: every name that kubeadm certs renew takes has its file, and the other way round.
func TestNames(t *testing.T) {
	g := NewWithT(t)
	for _, name := range scenario.CertificateNames[1:] {
		g.Expect(certs.NameOf(certs.FileOf(name))).To(Equal(name))
	}
	g.Expect(certs.FileOf("etcd-healthcheck-client")).To(Equal("/etc/kubernetes/pki/etcd/healthcheck-client.crt"))
	g.Expect(certs.FileOf("super-admin.conf")).To(Equal("/etc/kubernetes/super-admin.conf"))
	g.Expect(certs.NameOf("/etc/kubernetes/pki/ca.crt")).To(BeEmpty())
	g.Expect(certs.NameOf("/var/lib/kubelet/pki/kubelet-client-current.pem")).To(BeEmpty())
}
