package certificates

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// ca is a certificate of an authority.
func ca(t *testing.T, serial int64) []byte {
	t.Helper()
	g := NewWithT(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "kubernetes"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	g.Expect(err).NotTo(HaveOccurred())
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// node is one whose files are in memory.
type node struct {
	cluster.AuthorityOperator
	files map[string][]byte
	made  []byte // the certificate of the authority that it makes
}

func (n *node) CertificateFiles(context.Context, string) ([]cluster.CertificateFile, error) {
	var files []cluster.CertificateFile
	for path, content := range n.files {
		files = append(files, cluster.CertificateFile{Path: path, Content: content})
	}
	return files, nil
}

func (n *node) WriteCertificateFiles(_ context.Context, _ string, files []cluster.CertificateFile) error {
	for _, f := range files {
		n.files[f.Path] = f.Content
	}
	return nil
}

func (n *node) MakeAuthority(_ context.Context, _, dir string) error {
	n.files[dir+"/ca.crt"], n.files[dir+"/ca.key"] = n.made, []byte("the new key")
	return nil
}

func (n *node) SignWith(context.Context, string, string) error { return nil }

// rotating is a rotation on one control plane, and what it records.
func rotating(n *node) (rotation, *[]any) {
	var recorded []any
	env := &procedure.Env{Log: io.Discard, Record: func(_ trace.Kind, _, _ string, data any) error {
		recorded = append(recorded, data)
		return nil
	}}
	return rotation{operator: n, first: "cp-1", renewal: renewal{env: env, operator: n, spec: &scenario.RenewCertificates{Nodes: []string{"cp-1"}}}}, &recorded
}

// TestMakeAuthority: the old and the new one are recorded; an authority whose key is somewhere else is not ours to replace, and one that was not made is an error.
func TestMakeAuthority(t *testing.T) {
	g := NewWithT(t)
	before, after := ca(t, 0xa1), ca(t, 0xb2)
	n := &node{files: map[string][]byte{"/etc/kubernetes/pki/ca.crt": before, "/etc/kubernetes/pki/ca.key": []byte("the old key")}, made: after}
	r, recorded := rotating(n)
	g.Expect(r.make(t.Context(), "cp-1")).To(Succeed())
	g.Expect(*recorded).To(ConsistOf(And(HaveField("Old", "a1"), HaveField("New", "b2"))))
	g.Expect(n.files["/etc/kubernetes/pki/ca.crt"]).To(Equal(before), "nothing is replaced yet")

	n.made = before
	g.Expect(r.make(t.Context(), "cp-1")).To(MatchError(ContainSubstring("was to have a new authority in /etc/kubernetes/pki/next, and has none")))

	delete(n.files, "/etc/kubernetes/pki/ca.key")
	g.Expect(r.make(t.Context(), "cp-1")).To(MatchError(ContainSubstring("node/cp-1 has no /etc/kubernetes/pki/ca.key: the authority is external")))
}

// TestTrust: both are in the authority's file and in every kubeconfig, the one that signs first; what else a kubeconfig says stays.
func TestTrust(t *testing.T) {
	g := NewWithT(t)
	before, after := ca(t, 0xa1), ca(t, 0xb2)
	conf := clientcmdapi.NewConfig()
	conf.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://10.0.0.1:6443", CertificateAuthorityData: before}
	conf.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificate: "/var/lib/kubelet/pki/kubelet-client-current.pem"}
	written, err := clientcmd.Write(*conf)
	g.Expect(err).NotTo(HaveOccurred())
	n := &node{files: map[string][]byte{"/etc/kubernetes/pki/ca.crt": before, "/etc/kubernetes/kubelet.conf": written, "/root/.kube/config": written}}
	r, _ := rotating(n)
	both := bundle(before, after)
	g.Expect(r.writeTrust(t.Context(), "cp-1", both)).To(Succeed())
	g.Expect(serialOf(n.files["/etc/kubernetes/pki/ca.crt"])).To(Equal("a1"))
	g.Expect(n.files["/etc/kubernetes/pki/ca.crt"]).To(Equal(slices.Concat(before, after)))
	got, err := clientcmd.Load(n.files["/etc/kubernetes/kubelet.conf"])
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Clusters["c"].CertificateAuthorityData).To(Equal(both))
	g.Expect(got.Clusters["c"].Server).To(Equal("https://10.0.0.1:6443"))
	g.Expect(got.AuthInfos["u"].ClientCertificate).To(Equal("/var/lib/kubelet/pki/kubelet-client-current.pem"))
	g.Expect(n.files["/root/.kube/config"]).To(Equal(written), "a copy is its owner's")

	n.files["/etc/kubernetes/kubelet.conf"] = []byte("no kubeconfig: [")
	g.Expect(r.writeTrust(t.Context(), "cp-1", both)).To(MatchError(ContainSubstring("node/cp-1: read /etc/kubernetes/kubelet.conf")))
	delete(n.files, "/etc/kubernetes/kubelet.conf")
	g.Expect(r.writeTrust(t.Context(), "cp-1", both)).To(MatchError(ContainSubstring("node/cp-1 has none of admin.conf")))
}

// TestFirstOf: a file without a certificate has none that signs.
func TestFirstOf(t *testing.T) {
	g := NewWithT(t)
	one, other := ca(t, 1), ca(t, 2)
	g.Expect(firstOf(bundle(one, other))).To(Equal(one))
	g.Expect(firstOf([]byte("damaged"))).To(BeNil())
	g.Expect(serialOf([]byte("damaged"))).To(BeEmpty())
	g.Expect(serialOf(bytes.ReplaceAll(one, []byte("M"), []byte("A")))).To(BeEmpty())
	r, _ := rotating(&node{files: map[string][]byte{"/etc/kubernetes/pki/ca.crt": []byte("damaged")}})
	_, err := r.read(t.Context(), "cp-1", pkiDir)
	g.Expect(err).To(MatchError("node/cp-1 has no certificate in /etc/kubernetes/pki/ca.crt"))
}

// TestUnrestarted: of pods that have the authority mounted, those that are older are said; not what a kubelet runs of its own, nor what has ended or is about to.
func TestUnrestarted(t *testing.T) {
	began := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	pod := func(name string, age time.Duration, edit func(*corev1.Pod)) corev1.Pod {
		p := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: name, CreationTimestamp: metav1.NewTime(began.Add(-age))},
			Spec: corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
				ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: rootAuthority}},
			}}}}}}},
		}
		edit(&p)
		return p
	}
	as := func(*corev1.Pod) {}
	NewWithT(t).Expect(unrestarted([]corev1.Pod{
		pod("bare", time.Minute, as), pod("new", -time.Second, as),
		pod("static", time.Minute, func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "a"} }),
		pod("going", time.Minute, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: began} }),
		pod("done", time.Minute, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
		pod("without", time.Minute, func(p *corev1.Pod) { p.Spec.Volumes = nil }),
	}, began)).To(Equal([]string{"pod/production/bare"}))
}
