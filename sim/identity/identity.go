// Package identity is who our own clients of a cluster are, and whom they trust. Both may change while they are used, as they do when the cluster's authority is replaced: client-go reads
// an authority's file again every five minutes only.
//
//	ours := identity.New(authority, pair)
//	client, err := kubernetes.NewForConfig(ours.Client(&rest.Config{Host: "https://127.0.0.1:6443"}))
//	ours.Become(newAuthority, newPair)
package identity

import (
	"crypto/tls"
	"net/http"
	"sync"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/seatrial/seatrial/sim/pki"
)

// Identity is what our clients of a cluster show, and whom they trust.
type Identity struct {
	mu  sync.Mutex
	now *rest.TLSClientConfig // another one when it has changed
}

// New is who comes with a certificate and trusts these authorities.
func New(trusted []byte, pair pki.Pair) *Identity {
	i := &Identity{}
	i.Become(trusted, pair)
	return i
}

// Become changes it, for every request from now on. What has begun goes on as it was.
func (i *Identity) Become(trusted []byte, pair pki.Pair) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = &rest.TLSClientConfig{CAData: trusted, CertData: pair.Cert, KeyData: pair.Key}
}

// Client is a copy of a configuration whose clients are this identity. What it says of TLS itself but for the server's name is replaced.
func (i *Identity) Client(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Transport = &follower{identity: i, config: &rest.Config{Host: config.Host, Dial: config.Dial}, name: config.ServerName}
	config.TLSClientConfig = rest.TLSClientConfig{}
	return config
}

// follower is a transport that is made anew when the identity has changed.
type follower struct {
	identity *Identity
	config   *rest.Config
	name     string

	mu        sync.Mutex
	of        *rest.TLSClientConfig
	transport http.RoundTripper
}

// now is who the identity is, and the configuration for that.
func (f *follower) now() (*rest.TLSClientConfig, *rest.Config) {
	f.identity.mu.Lock()
	defer f.identity.mu.Unlock()
	config := rest.CopyConfig(f.config)
	config.TLSClientConfig = *f.identity.now
	config.ServerName = f.name
	return f.identity.now, config
}

// RoundTrip implements http.RoundTripper.
func (f *follower) RoundTrip(request *http.Request) (*http.Response, error) {
	transport, err := f.current()
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(request)
}

func (f *follower) current() (http.RoundTripper, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of, config := f.now()
	if f.of == of {
		return f.transport, nil
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	utilnet.CloseIdleConnectionsFor(f.transport)
	f.of, f.transport = of, transport
	return transport, nil
}

// CloseIdleConnections is what http.Client looks for.
func (f *follower) CloseIdleConnections() {
	f.mu.Lock()
	defer f.mu.Unlock()
	utilnet.CloseIdleConnectionsFor(f.transport)
}

// TLSClientConfig implements utilnet.TLSClientConfigHolder: nil when it can't be made, which a request says too.
func (f *follower) TLSClientConfig() *tls.Config {
	_, config := f.now()
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil
	}
	return tls
}
