package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/identity"
	"github.com/seatrial/seatrial/sim/pki"
)

// authority is one, and what it has issued.
type authority struct {
	ca             *pki.Authority
	server, client pki.Pair
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	g := NewWithT(t)
	ca, err := pki.NewAuthority("kubernetes", time.Now(), time.Hour)
	g.Expect(err).NotTo(HaveOccurred())
	a := authority{ca: ca}
	a.server, err = ca.Issue(pki.Subject{CommonName: "server", Usages: pki.ServerUsage, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Now(), time.Hour)
	g.Expect(err).NotTo(HaveOccurred())
	a.client, err = ca.Issue(pki.Subject{CommonName: "client", Usages: pki.ClientUsage}, time.Now(), time.Hour)
	g.Expect(err).NotTo(HaveOccurred())
	return a
}

// serve is a server of an authority that takes its clients only.
func serve(t *testing.T, a authority) string {
	t.Helper()
	pair, err := tls.X509KeyPair(a.server.Cert, a.server.Key)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	clients := x509.NewCertPool()
	clients.AddCert(a.ca.Certificate)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.TLS.PeerCertificates[0].Subject.CommonName))
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// TestBecome: a client that was made before trusts, and is, what its identity became; before that it gets no answer from those who are of the new authority.
func TestBecome(t *testing.T) {
	g := NewWithT(t)
	before, after := newAuthority(t), newAuthority(t)
	was, is := serve(t, before), serve(t, after)
	ours := identity.New(before.ca.Cert, before.client)
	config := ours.Client(&rest.Config{})
	client, err := rest.HTTPClientFor(config)
	g.Expect(err).NotTo(HaveOccurred())
	ask := func(url string) error {
		answer, err := client.Get(url) //nolint:noctx // a test's
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
	g.Expect(ask(was)).To(Succeed())
	g.Expect(ask(is)).To(MatchError(ContainSubstring("certificate signed by unknown authority")))

	ours.Become(append(append([]byte{}, before.ca.Cert...), after.ca.Cert...), after.client)
	g.Expect(ask(is)).To(Succeed())
	shown, err := cluster.TLS(config)
	g.Expect(err).NotTo(HaveOccurred())
	connection, err := tls.Dial("tcp", is[len("https://"):], shown) //nolint:noctx // a test's
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(connection.Close()).To(Succeed())

	ours.Become(after.ca.Cert, after.client)
	client.CloseIdleConnections()
	g.Expect(ask(was)).To(MatchError(ContainSubstring("certificate signed by unknown authority")))
	g.Expect(ask(is)).To(Succeed())
}
