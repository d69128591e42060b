package kind

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/cluster"
)

// TestValidity: kubeadm is told how long certificates live in the version of its configuration that has the fields, with all that kind had written into the other.
func TestValidity(t *testing.T) {
	for version, golden := range map[string]string{"v1.34.4": "validity-v1beta3.yaml", "v1.36.1": "validity-v1beta4.yaml"} {
		g := NewWithT(t)
		s := spec(1, 1)
		s.FeatureGates, s.RuntimeConfig = map[string]bool{"ElasticIndexedJob": true}, map[string]bool{"api/beta": true}
		s.EncryptSecrets = version == "v1.34.4" // the other is refused elsewhere
		s.Certificates = cluster.Certificates{Validity: 4 * time.Minute, AuthorityValidity: time.Hour}
		made, err := configuration(s, Image{Version: version}, false)
		g.Expect(err).NotTo(HaveOccurred())
		text, err := yaml.Marshal(made.KubeadmConfigPatchesJSON6902)
		g.Expect(err).NotTo(HaveOccurred())
		path := filepath.Join("testdata", golden)
		if os.Getenv("UPDATE") != "" {
			g.Expect(os.WriteFile(path, text, 0o644)).To(Succeed())
		}
		want, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(text)).To(Equal(string(want)))
	}
	g := NewWithT(t)
	s := spec(1, 1)
	s.Certificates.Validity = time.Hour
	_, err := configuration(s, Image{Version: "v1.30.4"}, false)
	g.Expect(err).To(MatchError(ContainSubstring("kubeadm v1.30.4 takes no validity")))
}

// TestKubeletsThatDontRotate: kubeadm takes a field that says no for one that says nothing, so it is a flag.
func TestKubeletsThatDontRotate(t *testing.T) {
	g := NewWithT(t)
	s := spec(1, 1)
	s.Certificates = cluster.Certificates{FixedKubelets: true, ServingRequests: true}
	made, err := configuration(s, Image{Version: "v1.34.4"}, false)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(made.KubeadmConfigPatches).To(ContainElement(ContainSubstring("serverTLSBootstrap: true")))
	for _, node := range made.Nodes {
		g.Expect(strings.Join(node.KubeadmConfigPatches, "")).To(ContainSubstring("rotate-certificates: \"false\""))
	}
	_, err = configuration(s, Image{Version: "v1.36.1"}, false)
	g.Expect(err).To(MatchError(ContainSubstring("made for Kubernetes before v1.36 only")))
}

// TestExpirations reads what kubeadm prints; what is missing on a node has no date.
func TestExpirations(t *testing.T) {
	g := NewWithT(t)
	ends, err := expirations(`[check-expiration] Reading configuration
{"kind":"CertificateExpirationInfo","certificates":[{"name":"admin.conf","expirationDate":"2027-11-28T10:00:00Z","residualTime":100,"caName":"ca"},{"name":"super-admin.conf","missing":true}],
"certificateAuthorities":[{"name":"etcd-ca","expirationDate":"2036-11-25T10:00:00Z"}]}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ends).To(Equal(map[string]time.Time{
		"admin.conf": time.Date(2027, 11, 28, 10, 0, 0, 0, time.UTC), "etcd-ca": time.Date(2036, 11, 25, 10, 0, 0, 0, time.UTC),
	}))
	for _, nothing := range []string{"kubeadm: no", `{"kind":"CertificateExpirationInfo"}`} {
		_, err = expirations(nothing)
		g.Expect(err).To(HaveOccurred(), nothing)
	}
}

// TestServedCertificates: each server of a control plane shows what it has, though openssl fails where a server wants a client's certificate; one that is down, one that says nothing, and one whose certificate breaks off, are told apart from the others.
func TestServedCertificates(t *testing.T) {
	g := NewWithT(t)
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("served")}))
	f, c := fakeNode(t, "v1.34.4", `*) "$@";;`)
	c.addresses = map[string]string{"cp-1": "10.89.0.2"}
	openssl := fmt.Sprintf("#!/bin/sh\ncase $3 in\n*:2379) echo connect:errno=111; exit 1;;\n*:10257) exit 124;;\n*:10259) echo CONNECTED; echo '-----BEGIN CERTIFICATE-----'; echo MIIBczCCARmgAwIBAgIUD3a1x6TopQkBw1qlpyP31Ts;;\n*) echo \"%s\"; exit 1;;\nesac\n", certificate)
	g.Expect(os.WriteFile(filepath.Join(filepath.Dir(f.log), "openssl"), []byte(openssl), 0o755)).To(Succeed())
	served, err := c.ServedCertificates(t.Context(), "cp-1")
	g.Expect(err).NotTo(HaveOccurred())
	var shown []string
	for _, s := range served {
		if s.Err == nil {
			g.Expect(s.Chain).To(Equal([][]byte{[]byte("served")}), s.Component)
			shown = append(shown, s.Component)
			continue
		}
		g.Expect(s.Chain).To(BeEmpty(), s.Component)
		g.Expect(s.Err).To(MatchError(map[string]string{
			"etcd": "it showed no certificate: connect:errno=111, it ended with status 1", "kube-controller-manager": "it showed no certificate: it ended with status 124",
			"kube-scheduler": "it showed no certificate: CONNECTED",
		}[s.Component]))
	}
	g.Expect(shown).To(Equal([]string{"kubelet", "kube-apiserver", "etcd-peer"}))
}
