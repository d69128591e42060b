// Package certs says what certificates a cluster has, each where it really is: in a file, in a kubeconfig, served to clients, loaded by one.
//
//	node := certs.Read("cp-1", files)   // what lies on a node
//	for _, c := range node.Found() { … } // with subject, names, validity, who signed it, and what is wrong with it
//	c := node.Served(handshake, names)  // what a component serves, beside the file that it has it from
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
	found, err := handshake(ctx, server.Config)
	if err != nil {
		return trace.CertificateData{}, fmt.Errorf("ask the API server of %s for its certificate: %w", server.Node, err)
	}
	d := describe(found)
	d.Node, d.Place, d.Component = server.Node, trace.PlaceServed, "kube-apiserver"
	return d, nil
}

// handshake is a client's, and gives the certificate that the server showed.
func handshake(ctx context.Context, client *rest.Config) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	config, err := cluster.TLS(client)
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(client.Host)
	if err != nil {
		return nil, err
	}
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address.Host)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// host is that of a server's URL, or "".
func host(server string) string {
	address, err := url.Parse(server)
	if err != nil {
		return ""
	}
	return address.Hostname()
}
