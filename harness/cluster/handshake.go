package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"
)

// handshakeTimeout is how long a server may take to show its certificate.
const handshakeTimeout = 5 * time.Second

// Handshake returns the certificates that a server shows to a client that looks at them whoever vouches for them, its own first, in DER. That the server wants one of the client too comes
// after it has shown its own.
func Handshake(ctx context.Context, address string) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	var chain [][]byte
	config := &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // it is looked at, and nothing is said to the server
		VerifyPeerCertificate: func(shown [][]byte, _ [][]*x509.Certificate) error {
			chain = shown
			return nil
		},
	}
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err == nil {
		err = connection.Close()
	}
	if len(chain) > 0 {
		return chain, nil
	}
	return nil, err
}
