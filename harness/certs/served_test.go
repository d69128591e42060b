package certs_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
)

// TestServed: the certificate is the one of the handshake, and a server that the cluster's authority does not vouch for, or that is gone, is an error.
func TestServed(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	asked := cluster.APIServer{Node: "cp-1", Config: &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: authority}}}
	found, err := certs.Served(t.Context(), asked)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found.Serial).To(Equal(server.Certificate().SerialNumber.Text(16)))
	g.Expect(found.NotAfter).To(BeTemporally("==", server.Certificate().NotAfter))
	g.Expect(found.Node).To(Equal("cp-1"))

	foreign := cluster.APIServer{Node: "cp-1", Config: &rest.Config{Host: server.URL}}
	_, err = certs.Served(t.Context(), foreign)
	g.Expect(err).To(MatchError(ContainSubstring("ask the API server of cp-1 for its certificate")))
	server.Close()
	_, err = certs.Served(t.Context(), asked)
	g.Expect(err).To(MatchError(ContainSubstring("refused")))
}
