package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/trace"
)

// api is a server that answers as an API server does to who looks at certificates from outside.
func api(t *testing.T, ca *made, ahead time.Duration) *httptest.Server {
	t.Helper()
	g := NewWithT(t)
	var server *httptest.Server
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/json")
		_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
		switch {
		case strings.HasSuffix(r.URL.Path, "/endpointslices"):
			fmt.Fprintf(w, `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","items":[{"endpoints":[{"addresses":["127.0.0.1","192.0.2.1"]}],"ports":[{"port":%s}]}]}`, port)
		case r.URL.Path == "/api/v1/nodes":
			fmt.Fprintf(w, `{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{"name":"worker-1","labels":{"node-role.kubernetes.io/control-plane":""}},"status":{"addresses":[{"type":"InternalIP","address":"127.0.0.1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":%s}}}}]}`, port)
		case strings.HasSuffix(r.URL.Path, "/certificatesigningrequests"):
			fmt.Fprint(w, `{"kind":"CertificateSigningRequestList","apiVersion":"certificates.k8s.io/v1","items":[{"metadata":{"name":"csr-1"},"spec":{"username":"system:node:worker-1","signerName":"kubernetes.io/kubelet-serving"}}]}`)
		default:
			fmt.Fprint(w, `{}`)
		}
	}))
	leaf := issue(t, "kube-apiserver", ca, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	pair, err := tls.X509KeyPair(leaf.pem, leaf.kpem)
	g.Expect(err).NotTo(HaveOccurred())
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// TestSee looks at a cluster from outside: the server by its name and by itself, a kubelet, what waits for approval; and says what it could not see.
func TestSee(t *testing.T) {
	g := NewWithT(t)
	ca := authority(t, "kubernetes")
	server := api(t, ca, 0)
	client := issue(t, "kubernetes-admin", ca, nil)
	seen, err := certs.See(t.Context(), cluster.CertificateFile{Path: "/root/.kube/config", Mode: 0o644, Content: kubeconfig(t, ca, client, server.URL)})
	g.Expect(err).NotTo(HaveOccurred())
	ids := map[string]trace.CertificateData{}
	for _, d := range seen.Certificates {
		ids[d.ID()] = d
	}
	g.Expect(ids["certificate/here/root/.kube/config"].KeyMode).To(Equal("0644"))
	g.Expect(ids["certificate/here/root/.kube/config"].Serial).To(Equal(client.cert.SerialNumber.Text(16)))
	g.Expect(ids["certificate/balancer/kube-apiserver"].Signer).To(Equal("/root/.kube/config"))
	g.Expect(ids["certificate/127.0.0.1/kube-apiserver"].Missing).To(BeEmpty())
	g.Expect(ids["certificate/worker-1/kubelet"].Missing).To(Equal([]string{"worker-1"}))
	g.Expect(strings.Join(seen.Unseen, "\n")).To(And(
		ContainSubstring("what lies on the nodes"), ContainSubstring("at 192.0.2.1:"), ContainSubstring("what the etcd at 127.0.0.1:2379 serves: "), ContainSubstring("what the kube-scheduler at 127.0.0.1:10259 serves: "), ContainSubstring("certificatesigningrequest/csr-1 of system:node:worker-1"),
	))

	_, err = certs.See(t.Context(), cluster.CertificateFile{Path: "config", Content: []byte("{")})
	g.Expect(err).To(MatchError(ContainSubstring(`read kubeconfig "config"`)))
}

// TestClock: a clock that is wrong is said, with its sign, and one that is off by less than an answer's time can tell is not.
func TestClock(t *testing.T) {
	ca := authority(t, "kubernetes")
	for ahead, want := range map[time.Duration]float64{5 * time.Minute: 300, -time.Hour: -3600, 500 * time.Millisecond: 0} {
		server := api(t, ca, ahead)
		config := &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})}}
		found, err := certs.Clock(t.Context(), config)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(found).To(BeNumerically("~", want, 2))
	}
	address, err := net.Listen("tcp", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	address.Close()
	nobody := url.URL{Scheme: "https", Host: "127.0.0.1:" + strconv.Itoa(address.Addr().(*net.TCPAddr).Port)}
	_, err = certs.Clock(t.Context(), &rest.Config{Host: nobody.String()})
	NewWithT(t).Expect(err).To(HaveOccurred(), "nobody says what time it is, and that is not the right time")
}
