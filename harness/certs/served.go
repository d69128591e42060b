// Package certs looks at certificates where clients meet them.
//
//	certificate, err := certs.Served(ctx, server)
package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"time"

	"k8s.io/client-go/rest"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/trace"
)

// answerTimeout is how long a handshake may take.
const answerTimeout = 5 * time.Second

// Served shakes hands with an API server, as a client who trusts the cluster's authority does, and returns the certificate that it serves.
func Served(ctx context.Context, server cluster.APIServer) (trace.CertificateData, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	d := trace.CertificateData{Node: server.Node, Component: "kube-apiserver"}
	config, err := rest.TLSConfigFor(server.Config)
	if err != nil {
		return d, fmt.Errorf("ask the API server of %s for its certificate: %w", server.Node, err)
	}
	address, err := url.Parse(server.Config.Host)
	if err != nil {
		return d, fmt.Errorf("ask the API server of %s for its certificate: %w", server.Node, err)
	}
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address.Host)
	if err != nil {
		return d, fmt.Errorf("ask the API server of %s for its certificate: %w", server.Node, err)
	}
	defer connection.Close()
	found := connection.(*tls.Conn).ConnectionState().PeerCertificates[0]
	d.Subject, d.Issuer, d.Serial = found.Subject.String(), found.Issuer.String(), found.SerialNumber.Text(16)
	d.NotBefore, d.NotAfter = found.NotBefore.UTC(), found.NotAfter.UTC()
	return d, nil
}
