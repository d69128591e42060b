package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/trace"
)

// made is a certificate that a test made.
type made struct {
	cert      *x509.Certificate
	key       *ecdsa.PrivateKey
	pem, kpem []byte
}

// issue makes a certificate, signed by another or by itself.
func issue(t *testing.T, name string, by *made, change func(*x509.Certificate)) *made {
	t.Helper()
	g := NewWithT(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	g.Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, crypto.Signer(key)
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	g.Expect(err).NotTo(HaveOccurred())
	m := &made{key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	m.cert, err = x509.ParseCertificate(der)
	g.Expect(err).NotTo(HaveOccurred())
	m.kpem, err = keyutil.MarshalPrivateKeyToPEM(key)
	g.Expect(err).NotTo(HaveOccurred())
	return m
}

func authority(t *testing.T, name string) *made {
	return issue(t, name, nil, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign })
}

// written is when the files of a test were written.
var written = time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)

// files are those of a node.
type files map[string][]byte

func (f files) put(path string, m *made) files {
	f[path+".crt"], f[path+".key"] = m.pem, m.kpem
	return f
}

func (f files) read() *certs.Node {
	var list []cluster.CertificateFile
	for path, content := range f {
		list = append(list, cluster.CertificateFile{Path: path, Mode: 0o600, Written: written, Content: content})
	}
	return certs.Read("cp-1", list)
}

// one is what was found in a file.
func one(t *testing.T, n *certs.Node, path string) trace.CertificateData {
	t.Helper()
	for _, d := range n.Found() {
		if d.Path == path && d.Part == "" {
			return d
		}
	}
	t.Fatalf("nothing was found in %s", path)
	return trace.CertificateData{}
}

func kubeconfig(t *testing.T, ca, client *made, server string) []byte {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["k"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca.pem}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: client.pem, ClientKeyData: client.kpem}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "k", AuthInfo: "u"}
	config.CurrentContext = "c"
	text, err := clientcmd.Write(*config)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return text
}

const pki = "/etc/kubernetes/pki/"

// TestFound: of each certificate its names, its validity, its key and who signed it; and nothing of a key, and no body.
func TestFound(t *testing.T) {
	g := NewWithT(t)
	ca, etcd := authority(t, "kubernetes"), authority(t, "etcd-ca")
	server := issue(t, "kube-apiserver", ca, func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{"kubernetes", "cp-1"}, []net.IP{net.IPv4(10, 96, 0, 1)}
	})
	admin := issue(t, "kubernetes-admin", ca, nil)
	accounts, err := x509.MarshalPKIXPublicKey(etcd.key.Public())
	g.Expect(err).NotTo(HaveOccurred())
	f := files{}.put(pki+"ca", ca).put(pki+"etcd/ca", etcd).put(pki+"apiserver", server).put(pki+"etcd/server", issue(t, "cp-1", etcd, nil))
	f["/etc/kubernetes/admin.conf"] = kubeconfig(t, ca, admin, "https://balancer.example:6443")
	f[pki+"sa.pub"], f[pki+"sa.key"] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: accounts}), etcd.kpem
	n := f.read()

	d := one(t, n, pki+"apiserver.crt")
	g.Expect(d.ID()).To(Equal("certificate/cp-1/etc/kubernetes/pki/apiserver.crt"))
	g.Expect(d.Names).To(Equal([]string{"10.96.0.1", "cp-1", "kubernetes"}))
	g.Expect(d.Serial).To(Equal(server.cert.SerialNumber.Text(16)))
	g.Expect(d.Signer).To(Equal(pki + "ca.crt"))
	g.Expect([]any{d.KeyKind, d.KeyBits, d.KeyMode, d.Place, d.Problem, d.Authority}).To(Equal([]any{"ECDSA", 256, "0600", "disk", "", false}))
	g.Expect(one(t, n, pki+"etcd/server.crt").Signer).To(Equal(pki + "etcd/ca.crt"))
	g.Expect(one(t, n, pki+"ca.crt").Authority).To(BeTrue())
	g.Expect(one(t, n, "/etc/kubernetes/admin.conf").Serial).To(Equal(admin.cert.SerialNumber.Text(16)))
	g.Expect(one(t, n, pki+"sa.pub").KeyBits).To(Equal(256))
	g.Expect(one(t, n, pki+"sa.pub").Subject).To(MatchRegexp("^SHA256:.{43}$"))
	g.Expect(n.Server()).To(Equal("balancer.example"))
	for _, d := range n.Found() {
		g.Expect(d.Problem).To(BeEmpty(), d.ID())
	}

	text, err := json.Marshal(n.Found())
	g.Expect(err).NotTo(HaveOccurred())
	for _, m := range []*made{ca, etcd, server, admin} {
		for _, secret := range [][]byte{m.kpem, m.pem} {
			body, _ := pem.Decode(secret)
			g.Expect(string(text)).NotTo(ContainSubstring(base64.StdEncoding.EncodeToString(body.Bytes)[:40]))
		}
	}
}

// TestProblems: what can't be used is said, and of what is wrong with a key nothing of it.
func TestProblems(t *testing.T) {
	ca, other := authority(t, "kubernetes"), authority(t, "another")
	leaf := issue(t, "kube-apiserver", ca, nil)
	for name, c := range map[string]struct {
		change func(f files)
		path   string
		want   string
		signer string
	}{
		"good":    {func(files) {}, pki + "apiserver.crt", "", pki + "ca.crt"},
		"damaged": {func(f files) { f[pki+"apiserver.crt"] = []byte(strings.Replace(string(leaf.pem), "M", "%", 3)) }, pki + "apiserver.crt", "its certificate is damaged", ""},
		"half":    {func(f files) { f[pki+"apiserver.crt"] = leaf.pem[:len(leaf.pem)/2] }, pki + "apiserver.crt", "its certificate is damaged", ""},
		"other bytes": {func(f files) {
			f[pki+"apiserver.crt"] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no")})
		}, pki + "apiserver.crt", "its certificate is damaged", ""},
		"empty":         {func(f files) { f[pki+"apiserver.crt"] = nil }, pki + "apiserver.crt", "it holds no certificate", ""},
		"another's key": {func(f files) { f[pki+"apiserver.key"] = other.kpem }, pki + "apiserver.crt", "its key, " + pki + "apiserver.key, is another certificate's", pki + "ca.crt"},
		"damaged key":   {func(f files) { f[pki+"apiserver.key"] = leaf.kpem[:20] }, pki + "apiserver.crt", "its key is damaged, or none", pki + "ca.crt"},
		"no key":        {func(f files) { delete(f, pki+"apiserver.key") }, pki + "apiserver.crt", "its key is missing: there is no " + pki + "apiserver.key", pki + "ca.crt"},
		"no issuer":     {func(f files) { f.put(pki+"apiserver", issue(t, "kube-apiserver", other, nil)) }, pki + "apiserver.crt", "", ""},
		"no kubeconfig": {func(f files) { f["/etc/kubernetes/admin.conf"] = []byte("{") }, "/etc/kubernetes/admin.conf", "it is no kubeconfig that can be read", ""},
		"kubeconfig's key": {func(f files) {
			f["/etc/kubernetes/admin.conf"] = kubeconfig(t, ca, &made{pem: leaf.pem, kpem: other.kpem}, "https://a")
		}, "/etc/kubernetes/admin.conf", "its key is another certificate's", pki + "ca.crt"},
		"empty kubeconfig":  {func(f files) { f["/etc/kubernetes/admin.conf"] = nil }, "/etc/kubernetes/admin.conf", "its current context lacks a cluster or a user", ""},
		"accounts' damaged": {func(f files) { f[pki+"sa.pub"] = []byte("no") }, pki + "sa.pub", "it holds no public key", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f := files{}.put(pki+"ca", ca).put(pki+"apiserver", leaf)
			c.change(f)
			d := one(t, f.read(), c.path)
			g.Expect(d.Problem).To(HavePrefix(c.want))
			g.Expect(d.Problem == "").To(Equal(c.want == ""))
			g.Expect(d.Signer).To(Equal(c.signer))
		})
	}
}

// TestExternal: an authority whose key is somewhere else is none that can't be used.
func TestExternal(t *testing.T) {
	g := NewWithT(t)
	f := files{}.put(pki+"ca", authority(t, "kubernetes"))
	delete(f, pki+"ca.key")
	d := one(t, f.read(), pki+"ca.crt")
	g.Expect(d.External).To(BeTrue())
	g.Expect(d.Problem).To(BeEmpty())
}

// TestReplaced: of two authorities in a file the one signs whose key is there; what the other signed was signed by one that is replaced.
func TestReplaced(t *testing.T) {
	g := NewWithT(t)
	old, now := authority(t, "kubernetes"), authority(t, "kubernetes")
	f := files{}.put(pki+"apiserver", issue(t, "kube-apiserver", old, nil)).put(pki+"front-proxy-client", issue(t, "front-proxy-client", now, nil))
	f[pki+"ca.crt"], f[pki+"ca.key"] = append(append([]byte{}, old.pem...), now.pem...), now.kpem
	n := f.read()
	g.Expect(one(t, n, pki+"apiserver.crt").Replaced).To(BeTrue())
	g.Expect(one(t, n, pki+"front-proxy-client.crt").Replaced).To(BeFalse())
	g.Expect(one(t, n, pki+"ca.crt").Problem).To(BeEmpty())
	var parts []string
	for _, d := range n.Found() {
		if d.Path == pki+"ca.crt" {
			parts = append(parts, d.Part)
		}
	}
	g.Expect(parts).To(Equal([]string{"", "2"}))
}

// TestKubelet: a kubelet renews its certificate when it is told to, by a file and not otherwise by a flag, and uses the file that it writes.
func TestKubelet(t *testing.T) {
	const current = "/var/lib/kubelet/pki/kubelet-client-current.pem"
	ca := authority(t, "kubernetes")
	client := issue(t, "system:node:cp-1", ca, nil)
	named := strings.Join([]string{"apiVersion: v1", "kind: Config", "current-context: c", "clusters: [{name: k, cluster: {server: 'https://a'}}]",
		"users: [{name: u, user: {client-certificate: " + current + ", client-key: " + current + "}}]", "contexts: [{name: c, context: {cluster: k, user: u}}]", ""}, "\n")
	for name, c := range map[string]struct {
		config, flags, conf string
		want                bool
	}{
		"rotates":         {"rotateCertificates: true", "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.1\"", named, true},
		"not told to":     {"rotateCertificates: false", "", named, false},
		"a flag":          {"rotateCertificates: true", "KUBELET_KUBEADM_ARGS=\"--rotate-certificates=false\"", named, false},
		"inside the conf": {"rotateCertificates: true", "", string(kubeconfig(t, ca, client, "https://a")), false},
		"no config":       {"", "", named, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := files{}.put(pki+"ca", ca)
			f[current] = append(append([]byte{}, client.pem...), client.kpem...)
			f["/etc/kubernetes/kubelet.conf"] = []byte(c.conf)
			f["/var/lib/kubelet/config.yaml"], f["/var/lib/kubelet/kubeadm-flags.env"] = []byte(c.config), []byte(c.flags)
			d := one(t, f.read(), current)
			NewWithT(t).Expect(d.Problem).To(BeEmpty())
			NewWithT(t).Expect(d.Rotates).To(Equal(c.want))
		})
	}
}

// TestServedBesideItsFile: what is served and what the file has are told apart, and names that clients use are missed; one that shows nothing is a problem.
func TestServedBesideItsFile(t *testing.T) {
	g := NewWithT(t)
	ca := authority(t, "kubernetes")
	old := issue(t, "kube-apiserver", ca, func(c *x509.Certificate) { c.DNSNames = []string{"cp-1"} })
	renewed := issue(t, "kube-apiserver", ca, nil)
	n := files{}.put(pki+"ca", ca).put(pki+"apiserver", renewed).read()
	d := n.Served(cluster.ServedCertificate{Component: "kube-apiserver", Chain: [][]byte{old.cert.Raw}}, []string{"cp-1", "balancer"})
	g.Expect(d.ID()).To(Equal("certificate/cp-1/kube-apiserver"))
	g.Expect(d.Serial).NotTo(Equal(d.Newest.Serial))
	g.Expect(d.Newest.Serial).To(Equal(renewed.cert.SerialNumber.Text(16)))
	g.Expect(d.Missing).To(Equal([]string{"balancer"}))
	g.Expect(d.Signer).To(Equal(pki + "ca.crt"))

	own := n.Served(cluster.ServedCertificate{Component: "kube-scheduler", Chain: [][]byte{authority(t, "localhost").cert.Raw}}, nil)
	g.Expect(own.Path).To(BeEmpty(), "it is in no file")
	g.Expect(own.Newest).To(BeNil())

	silent := n.Served(cluster.ServedCertificate{Component: "etcd", Err: errors.New("connection refused")}, nil)
	g.Expect(silent.Problem).To(Equal("connection refused"))
}

// TestLoaded: a component has loaded what was written before it was started, and what it has loaded else is not known.
func TestLoaded(t *testing.T) {
	g := NewWithT(t)
	ca := authority(t, "kubernetes")
	client := issue(t, "system:kube-scheduler", ca, nil)
	f := files{}.put(pki+"ca", ca)
	f["/etc/kubernetes/scheduler.conf"] = kubeconfig(t, ca, client, "https://a")
	n := f.read()
	loaded := func(after time.Duration) []trace.CertificateData {
		list, unknown := n.Loaded(map[string]time.Time{"kube-scheduler": written.Add(after)}, 2*time.Second)
		g.Expect(unknown).To(BeEmpty())
		g.Expect(list).To(HaveLen(1), "the controller manager has no file here")
		return list
	}
	after, before := loaded(3 * time.Second)[0], loaded(-3 * time.Second)[0]
	g.Expect(after.ID()).To(Equal("certificate/cp-1/kube-scheduler/etc/kubernetes/scheduler.conf"))
	g.Expect(after.Serial).To(Equal(after.Newest.Serial))
	g.Expect(before.Serial).To(BeEmpty())
	g.Expect(before.Newest.Serial).To(Equal(client.cert.SerialNumber.Text(16)))
	for _, since := range []map[string]time.Time{nil, {"kube-scheduler": written.Add(time.Second)}, {"kube-scheduler": written.Add(-time.Second)}} {
		list, unknown := n.Loaded(since, 2*time.Second)
		g.Expect(list).To(BeEmpty())
		g.Expect(unknown).To(HaveLen(1), "it does not run, or it is not known which came first")
	}
}

// TestExpectedSigner: that some authority of the cluster signed a certificate is not enough: it has to be the one that those trust who meet it. A chain of its own makes none.
func TestExpectedSigner(t *testing.T) {
	g := NewWithT(t)
	ca, etcd, foreign := authority(t, "kubernetes"), authority(t, "etcd-ca"), authority(t, "foreign")
	f := files{}.put(pki+"ca", ca).put(pki+"etcd/ca", etcd).put(pki+"old/ca", foreign).put(pki+"etcd/server", issue(t, "cp-1", ca, nil)).put(pki+"apiserver-etcd-client", issue(t, "a", etcd, nil))
	f.put(pki+"apiserver", issue(t, "kube-apiserver", foreign, nil))
	f[pki+"apiserver.crt"] = append(append([]byte{}, f[pki+"apiserver.crt"]...), foreign.pem...)
	f.put("/var/lib/kubelet/pki/kubelet", issue(t, "cp-1", foreign, nil))
	f["/var/lib/kubelet/pki/kubelet.crt"] = append(append([]byte{}, f["/var/lib/kubelet/pki/kubelet.crt"]...), foreign.pem...)
	n := f.read()
	g.Expect(one(t, n, pki+"etcd/server.crt").Signer).To(BeEmpty(), "etcd's peers trust etcd's")
	g.Expect(one(t, n, pki+"apiserver-etcd-client.crt").Signer).To(Equal(pki + "etcd/ca.crt"))
	g.Expect(one(t, n, pki+"apiserver.crt").Signer).To(BeEmpty(), "neither the one that it brings along nor one that lies about")
	g.Expect(one(t, n, "/var/lib/kubelet/pki/kubelet.crt").Signer).To(Equal("/var/lib/kubelet/pki/kubelet.crt"), "which a kubelet makes itself")
}

// TestIntermediate: who brings along the certificate between is signed by the authority above it, and only that way.
func TestIntermediate(t *testing.T) {
	g := NewWithT(t)
	ca := authority(t, "kubernetes")
	between := issue(t, "between", ca, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	leaf := issue(t, "kube-apiserver", between, nil)
	f := files{}.put(pki+"ca", ca).put(pki+"apiserver", leaf)
	g.Expect(one(t, f.read(), pki+"apiserver.crt").Signer).To(BeEmpty(), "alone")
	f[pki+"apiserver.crt"] = slices.Concat(leaf.pem, between.pem)
	g.Expect(one(t, f.read(), pki+"apiserver.crt").Signer).To(Equal(pki + "ca.crt"))
}

// TestMissing: a file that is not there is said, and what is served from memory meanwhile is no certificate that the component made itself.
func TestMissing(t *testing.T) {
	g := NewWithT(t)
	ca := authority(t, "kubernetes")
	n := files{}.put(pki+"ca", ca).read()
	var paths []string
	for _, d := range n.Missing() {
		paths = append(paths, d.Path)
		g.Expect(d.Problem).To(Equal("it is missing"))
	}
	g.Expect(paths).To(ContainElements(pki+"apiserver.crt", "/etc/kubernetes/admin.conf", pki+"sa.pub"))
	g.Expect(paths).NotTo(ContainElement(pki + "ca.crt"))
	d := n.Served(cluster.ServedCertificate{Component: "kube-apiserver", Chain: [][]byte{issue(t, "kube-apiserver", ca, nil).cert.Raw}}, nil)
	g.Expect(d.Path).To(Equal(pki + "apiserver.crt"))
	g.Expect(d.Newest).To(BeNil())
}

// FuzzRead: whatever lies on a node, reading it says something and does not fail.
func FuzzRead(f *testing.F) {
	f.Add("/etc/kubernetes/pki/ca.crt", []byte("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"))
	f.Add("/etc/kubernetes/admin.conf", []byte("current-context: c\ncontexts: [{name: c}]\n"))
	f.Add("/etc/kubernetes/pki/sa.pub", []byte("-----BEGIN PUBLIC KEY-----\nMA==\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(_ *testing.T, path string, content []byte) {
		n := certs.Read("cp-1", []cluster.CertificateFile{{Path: path, Content: content}, {Path: strings.TrimSuffix(path, ".crt") + ".key", Content: content}})
		n.Served(cluster.ServedCertificate{Component: "kubelet", Chain: [][]byte{content}}, []string{"a"})
		n.Loaded(map[string]time.Time{"kube-scheduler": {}}, 0)
		n.Server()
	})
}
