package embedded

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/certificate"
	"k8s.io/client-go/util/connrotation"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/sim/pki"
)

// Kubelets that have certificates of their own: hollow ones say with them that their nodes are alive. They are renewed as a kubelet does it, by the code that it has for that.
//
// https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/

// kubeletIdentity is the client certificate of a kubelet, who renews it, and whom the kubelet trusts.
type kubeletIdentity struct {
	client kubernetes.Interface
	server string // the name or address that it knows the API by
	dialer *connrotation.Dialer

	mu      sync.Mutex
	current func() *tls.Certificate
	trusted *x509.CertPool
	cancel  context.CancelFunc
	// managers renew the client certificate, and ask for one to serve with.
	managers []certificate.Manager
}

// close ends who renews its certificates.
func (i *kubeletIdentity) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cancel == nil {
		return
	}
	i.cancel()
	for _, m := range i.managers {
		m.Stop()
	}
	i.managers = nil
}

// dialTimeout is how long a kubelet waits for a connection, and for the handshake on it.
const dialTimeout = 5 * time.Second

const nodesGroup = "system:nodes"

// userOf is who a node's kubelet is to the API.
func userOf(node string) string { return "system:node:" + node }

// kubelet makes a client certificate for the kubelet of a node.
func (i issuer) kubelet(node string) (pki.Pair, error) {
	return i.issue(kubernetesCA, pki.Subject{CommonName: userOf(node), Organizations: []string{nodesGroup}, Usages: pki.ClientUsage})
}

// writeKubelets writes what the nodes' kubelets have in files, where certificates are rehearsed: a configuration, a first client certificate, which the real ones get by a bootstrap
// token, and a kubeconfig that names it.
func (c *Cluster) writeKubelets() error {
	if !c.spec.Certificates.Rehearsed {
		return nil
	}
	for _, n := range c.Nodes() {
		if err := c.writeKubelet(n.Name); err != nil {
			return fmt.Errorf("prepare the kubelet of %q: %w", n.Name, err)
		}
	}
	return nil
}

func (c *Cluster) writeKubelet(node string) error {
	dir := c.nodeDir(node)
	store, err := c.kubeletStore(node, kubeletClientStore)
	if err != nil {
		return err
	}
	pair, err := c.issuer().kubelet(node)
	if err != nil {
		return err
	}
	lives := c.spec.Certificates
	config, err := yaml.Marshal(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "rotateCertificates": !lives.FixedKubelets, "serverTLSBootstrap": lives.ServingRequests,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "kubelet", "config.yaml"), config, 0o644); err != nil {
		return err
	}
	if c.plane(node) == nil {
		if err := os.MkdirAll(filepath.Join(dir, "pki"), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "pki", "ca.crt"), c.trusted(), 0o644); err != nil {
			return err
		}
	}
	if lives.FixedKubelets && node == c.planes[0].node {
		// The kubelet of the node that kubeadm init made has its certificate inside kubelet.conf, and moves it to a file of its own only when it renews it.
		return c.writeKubeletConf(node, c.trusted(), pair)
	}
	if _, err := store.Update(pair.Cert, pair.Key); err != nil {
		return err
	}
	return c.nameKubeletStore(node, c.trusted())
}

// nameKubeletStore writes a kubelet.conf that names the file with what the kubelet got from the cluster.
func (c *Cluster) nameKubeletStore(node string, trusted []byte) error {
	conf := kubeconfig(userOf(node), c.balancer.Addr(), trusted, pki.Pair{})
	const current = "/var/lib/kubelet/pki/kubelet-client-current.pem" // as on a real node
	user := conf.AuthInfos[userOf(node)]
	user.ClientCertificate, user.ClientKey = current, current
	return clientcmd.WriteToFile(*conf, filepath.Join(c.nodeDir(node), "kubelet.conf"))
}

// writeKubeletConf writes a kubelet.conf with a certificate in it.
func (c *Cluster) writeKubeletConf(node string, trusted []byte, pair pki.Pair) error {
	return clientcmd.WriteToFile(*kubeconfig(userOf(node), c.balancer.Addr(), trusted, pair), filepath.Join(c.nodeDir(node), "kubelet.conf"))
}

// kubeletClientStore is the store of a kubelet's client certificates.
const kubeletClientStore = "kubelet-client"

// kubeletStore is where a kubelet keeps what it got from the cluster, each in a file with its time, and a link to the newest.
func (c *Cluster) kubeletStore(node, name string) (certificate.FileStore, error) {
	dir := filepath.Join(c.nodeDir(node), "kubelet", "pki")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return certificate.NewFileStore(name, dir, dir, "", "")
}

// kubeletClient starts a node's kubelet's hold on its certificates, and gives the client that it is by them; nil where it has none of its own.
func (c *Cluster) kubeletClient(node string) (kubernetes.Interface, error) {
	if !c.spec.Certificates.Rehearsed {
		return nil, nil
	}
	i, err := c.newIdentity(node)
	if err != nil {
		return nil, fmt.Errorf("give the kubelet of %q its certificate: %w", node, err)
	}
	if c.identities == nil {
		c.identities = map[string]*kubeletIdentity{}
	}
	c.identities[node] = i
	return i.client, nil
}

func (c *Cluster) newIdentity(node string) (*kubeletIdentity, error) {
	i := &kubeletIdentity{dialer: connrotation.NewDialer((&net.Dialer{Timeout: dialTimeout}).DialContext)}
	var err error
	if i.client, err = c.clientOf(i); err != nil {
		return nil, err
	}
	return i, c.load(node, i)
}

// load has a kubelet read its files, as it does when it starts, and renew its certificates from then on.
func (c *Cluster) load(node string, i *kubeletIdentity) error {
	i.close()
	store, err := c.kubeletStore(node, kubeletClientStore)
	if err != nil {
		return err
	}
	authorities, err := c.trustedBy(node)
	if err != nil {
		return err
	}
	inside, err := c.insideKubeletConf(node)
	if err != nil {
		return err
	}
	current, err := currentOf(store, inside)
	if err != nil {
		return err
	}
	var managers []certificate.Manager
	life, cancel := context.WithCancel(c.life)
	lives := c.spec.Certificates
	if !lives.FixedKubelets {
		manager, err := c.manager(node, i.client, store, inside, certificatesv1.KubeAPIServerClientKubeletSignerName, certificatesv1.UsageClientAuth)
		if err != nil {
			cancel()
			return err
		}
		current = manager.Current
		managers = append(managers, manager)
		c.running.Go(func() { closeRenewed(life, manager, i.dialer) })
	}
	if lives.ServingRequests {
		served, err := c.kubeletStore(node, "kubelet-server")
		if err != nil {
			cancel()
			return err
		}
		manager, err := c.manager(node, i.client, served, pki.Pair{}, certificatesv1.KubeletServingSignerName, certificatesv1.UsageServerAuth)
		if err != nil {
			cancel()
			return err
		}
		managers = append(managers, manager)
	}
	i.mu.Lock()
	i.current, i.cancel, i.managers, i.trusted = current, cancel, managers, x509.NewCertPool()
	i.trusted.AppendCertsFromPEM(authorities)
	i.mu.Unlock()
	i.dialer.CloseAll() // what it was connected with was of its earlier life
	for _, m := range managers {
		m.Start()
	}
	return nil
}

// insideKubeletConf is the certificate inside a kubelet's kubeconfig, if there is one.
func (c *Cluster) insideKubeletConf(node string) (pki.Pair, error) {
	conf, err := clientcmd.LoadFromFile(filepath.Join(c.nodeDir(node), "kubelet.conf"))
	if err != nil {
		return pki.Pair{}, err
	}
	user := conf.AuthInfos[userOf(node)]
	return pki.Pair{Cert: user.ClientCertificateData, Key: user.ClientKeyData}, nil
}

// currentOf is what a kubelet has that renews nothing: in its own file, or inside its kubeconfig.
func currentOf(store certificate.Store, inside pki.Pair) (func() *tls.Certificate, error) {
	now, err := store.Current()
	if missing := (*certificate.NoCertKeyError)(nil); errors.As(err, &missing) {
		var pair tls.Certificate
		pair, err = tls.X509KeyPair(inside.Cert, inside.Key)
		now = &pair
	}
	return func() *tls.Certificate { return now }, err
}

// clientOf is a client that shows the certificate that the kubelet has at that time, to servers that it trusts then.
func (c *Cluster) clientOf(i *kubeletIdentity) (kubernetes.Interface, error) {
	config := c.kubeletConfig()
	server, err := url.Parse(config.Host)
	if err != nil {
		return nil, err
	}
	i.server = server.Hostname()
	return kubernetes.NewForConfig(&rest.Config{
		Host: config.Host, ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeProtobuf, AcceptContentTypes: runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON},
		QPS: -1, UserAgent: "seatrial-hollow", Timeout: 2 * dialTimeout,
		Transport: utilnet.SetTransportDefaults(&http.Transport{
			TLSClientConfig: &tls.Config{
				MinVersion:           tls.VersionTLS12,
				InsecureSkipVerify:   true, // by a pool that can't change; VerifyConnection does it
				VerifyConnection:     i.verify,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return i.certificate(), nil },
			},
			DialContext: i.dialer.DialContext, TLSHandshakeTimeout: dialTimeout,
		}),
	})
}

// certificate is what it shows: none when it has expired, and then the kubelet is nobody.
func (i *kubeletIdentity) certificate() *tls.Certificate {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now := i.current(); now != nil {
		return now
	}
	return &tls.Certificate{}
}

// verify is what crypto/tls does with a server's certificate where the authorities don't change: somebody who is trusted has signed it, for the server that it was asked of.
func (i *kubeletIdentity) verify(s tls.ConnectionState) error {
	i.mu.Lock()
	trusted := i.trusted
	i.mu.Unlock()
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: i.server, Roots: trusted, Intermediates: between})
	return err
}

// manager asks the cluster for certificates of a kubelet in time, and keeps them in the store. One that has only what is inside its kubeconfig asks at once.
func (c *Cluster) manager(node string, client kubernetes.Interface, store certificate.Store, inside pki.Pair, signer string, usage certificatesv1.KeyUsage) (certificate.Manager, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: userOf(node), Organization: []string{nodesGroup}}}
	if usage == certificatesv1.UsageServerAuth {
		template.DNSNames = []string{node}
	}
	return certificate.NewManager(&certificate.Config{
		ClientsetFn: func(*tls.Certificate) (kubernetes.Interface, error) { return client, nil },
		Template:    template, SignerName: signer, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, usage}, CertificateStore: store,
		BootstrapCertificatePEM: inside.Cert, BootstrapKeyPEM: inside.Key,
	})
}

// renewedEvery is the time between two looks whether a certificate was renewed; a kubelet's is 5 s (pkg/kubelet/certificate/transport.go).
const renewedEvery = time.Second

// closeRenewed closes the connections that were made with a certificate that was renewed: to the API they are who they were when they began, until that has expired.
func closeRenewed(ctx context.Context, manager certificate.Manager, dialer *connrotation.Dialer) {
	last := manager.Current()
	ticker := time.NewTicker(renewedEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if now := manager.Current(); now != last {
				last = now
				dialer.CloseAll()
			}
		}
	}
}
