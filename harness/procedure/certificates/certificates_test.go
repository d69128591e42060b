package certificates

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// TestNotRenewedOne: a certificate that was renewed is there, another one, and ends no sooner; of all, those that were there.
func TestNotRenewedOne(t *testing.T) {
	g := NewWithT(t)
	end := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	one := func(serial string, end time.Time) map[string]trace.CertificateData {
		return map[string]trace.CertificateData{"apiserver": {Serial: serial, NotAfter: end}}
	}
	g.Expect(notRenewed(one("1", end), one("2", end.Add(time.Hour)), []string{"all"})).To(BeEmpty())
	g.Expect(notRenewed(one("1", end), one("1", end), []string{"all"})).To(Equal([]string{"apiserver is the same"}))
	g.Expect(notRenewed(one("1", end), one("2", end.Add(-time.Hour)), []string{"apiserver"})).To(Equal([]string{"apiserver ends at 2026-11-28T09:00:00Z, sooner than before"}))
	g.Expect(notRenewed(one("1", end), nil, []string{"all"})).To(Equal([]string{"apiserver is not there, or can't be used"}))
	g.Expect(notRenewed(nil, nil, []string{"all"})).To(BeEmpty())
	g.Expect(notRenewed(one("1", end), one("1", end), []string{"etcd-peer"})).To(HaveLen(1))
}

// TestRenewed: what is waited for are certificates that kubeadm or a kubelet renews, where they lie.
func TestRenewed(t *testing.T) {
	g := NewWithT(t)
	end := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	for path, want := range map[string]bool{
		"/etc/kubernetes/pki/apiserver.crt": true, "/etc/kubernetes/admin.conf": true, "/etc/kubernetes/pki/ca.crt": false, "/etc/kubernetes/kubelet.conf": true,
		"/var/lib/kubelet/pki/kubelet-client-current.pem": true, "/var/lib/kubelet/pki/kubelet.crt": false, "/root/.kube/config": false,
	} {
		g.Expect(renewed(&trace.CertificateData{Place: trace.PlaceDisk, Path: path, NotAfter: end})).To(Equal(want), path)
	}
	g.Expect(renewed(&trace.CertificateData{Place: trace.PlaceServed, Path: "/etc/kubernetes/pki/apiserver.crt", NotAfter: end})).To(BeFalse())
	g.Expect(renewed(&trace.CertificateData{Place: trace.PlaceKubeconfig, Path: "/etc/kubernetes/admin.conf", Part: "authority", NotAfter: end})).To(BeFalse())
}

// TestPending: requests of the node's own kubelet that came to nothing since the last that did, the oldest first.
func TestPending(t *testing.T) {
	g := NewWithT(t)
	began := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	request := func(name, node string, after time.Duration, certificate string) certificatesv1.CertificateSigningRequest {
		return certificatesv1.CertificateSigningRequest{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(began.Add(after))},
			Spec:       certificatesv1.CertificateSigningRequestSpec{Username: "system:node:" + node, SignerName: certificatesv1.KubeletServingSignerName},
			Status:     certificatesv1.CertificateSigningRequestStatus{Certificate: []byte(certificate)},
		}
	}
	found := pending("worker-1", certificatesv1.KubeletServingSignerName, []certificatesv1.CertificateSigningRequest{
		request("csr-b", "worker-1", time.Minute, ""), request("csr-a", "worker-1", 0, ""), request("csr-c", "worker-2", 0, ""),
		request("csr-d", "worker-1", -time.Minute, "issued"), request("csr-e", "worker-1", -time.Hour, ""),
	})
	g.Expect(found.Pending).To(Equal([]string{"certificatesigningrequest/csr-a", "certificatesigningrequest/csr-b"}))
	g.Expect(found.Since).To(Equal(began))
	g.Expect(overdue(found, began.Add(unanswered))).To(Equal(found), "the oldest counts")
	g.Expect(overdue(found, began.Add(unanswered-time.Second))).To(Equal(trace.KubeletRequestsData{Node: "worker-1", Pending: []string{}}))
	g.Expect(pending("cp-1", certificatesv1.KubeletServingSignerName, nil).Pending).To(BeEmpty())
	of := []certificatesv1.CertificateSigningRequest{request("csr-a", "worker-1", 0, "")}
	g.Expect(pending("worker-1", certificatesv1.KubeAPIServerClientKubeletSignerName, of).Pending).To(BeEmpty(), "it was asked of another")
}

// TestDisagreements: what kubeadm says of its files is what we read in them, or that is said.
func TestDisagreements(t *testing.T) {
	g := NewWithT(t)
	end := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	found := []trace.CertificateData{{Path: "/etc/kubernetes/pki/ca.crt", NotAfter: end}, {Path: "/etc/kubernetes/admin.conf", NotAfter: end}}
	g.Expect(disagreements(found, map[string]time.Time{"ca": end, "admin.conf": end})).To(BeEmpty())
	g.Expect(disagreements(found, map[string]time.Time{"admin.conf": end.Add(time.Hour), "etcd-peer": end})).To(Equal([]string{
		"kubeadm says that admin.conf ends at 2026-11-28T11:00:00Z, and what /etc/kubernetes/admin.conf holds at 2026-11-28T10:00:00Z",
		"kubeadm lists etcd-peer, and there is no /etc/kubernetes/pki/etcd/peer.crt",
	}))
}

// operator is a cluster that renews nothing, and says so or not.
type operator struct {
	cluster.CertOperator
	err error
}

func (operator) CertificateFiles(context.Context, string) ([]cluster.CertificateFile, error) {
	const damaged = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
	return []cluster.CertificateFile{
		{Path: "/etc/kubernetes/pki/apiserver.crt", Content: []byte(known)}, {Path: "/etc/kubernetes/pki/etcd/server.crt", Content: []byte(damaged)},
	}, nil
}

func (o operator) RenewCertificates(context.Context, string, []string) error { return o.err }

// known is a certificate; its key is nowhere.
const known = `-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIUD3a1x6TopQkBw1qlpyP31Ts+yzwwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjgxMTU3NTlaFw0zNjExMjUxMTU3NTla
MA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQHSzFM
A9WKqZaDanxQDJTW6urvh6vjvjsY1WgmdrpTVmpuwIfBETukWVESt9noy3aubuuA
ZE5D+Gg+PhH6UbZ5o1MwUTAdBgNVHQ4EFgQU35kTgjXfaVBncfjp+1zwBuz2ODow
HwYDVR0jBBgwFoAU35kTgjXfaVBncfjp+1zwBuz2ODowDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiBjlaWmd6NB3/EJg3BNB1A3EubU32Pj49QlUhu+
xkHLjQIhAMZd5rSITgZSqM1LsJfnD6OjVxOj0QsE6ph4ohG95szV
-----END CERTIFICATE-----
`

// TestNotRenewed: kubeadm certs renew ends well where the authority's key is somewhere else, and has renewed nothing: it is looked whether certificates are others.
func TestNotRenewed(t *testing.T) {
	g := NewWithT(t)
	renew := func(o operator, names ...string) error {
		return renewal{env: &procedure.Env{Log: io.Discard}, operator: o, spec: &scenario.RenewCertificates{Names: names}}.renew(t.Context(), "cp-1")
	}
	failure := (*procedure.Failure)(nil)
	g.Expect(errors.As(renew(operator{}, "all"), &failure)).To(BeTrue())
	g.Expect(failure.Message).To(HavePrefix("renew certificates on cp-1: expected others than before: apiserver is the same; etcd-server is not there, or can't be used its certificate is damaged"))
	g.Expect(renew(operator{}, "front-proxy-client")).To(MatchError(ContainSubstring("front-proxy-client is not there")), "kubeadm says MISSING, and ends well")
	g.Expect(renew(operator{err: errors.New("its authority is external")}, "all")).To(MatchError("its authority is external"))
}

// TestAhead: a kubelet's clock that is ahead is said, and one that is behind while its node is Ready: with another node it may be that nobody renews its Lease.
func TestAhead(t *testing.T) {
	g := NewWithT(t)
	now := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	lease := func(by time.Duration) coordinationv1.LeaseSpec {
		return coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: now.Add(by)}}
	}
	node := func(ready corev1.ConditionStatus) *corev1.Node {
		return &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
	}
	g.Expect(ahead(lease(5*time.Minute), node(corev1.ConditionUnknown), now)).To(Equal(300.0))
	g.Expect(ahead(lease(-24*time.Hour), node(corev1.ConditionTrue), now)).To(Equal(-86400.0))
	g.Expect(ahead(lease(-24*time.Hour), node(corev1.ConditionUnknown), now)).To(BeZero(), "it may have ended")
	g.Expect(ahead(lease(-30*time.Second), node(corev1.ConditionTrue), now)).To(BeZero())
	g.Expect(ahead(lease(time.Second), node(corev1.ConditionTrue), now)).To(BeZero())
	g.Expect(ahead(coordinationv1.LeaseSpec{}, node(corev1.ConditionTrue), now)).To(BeZero(), "it has none yet")
}
