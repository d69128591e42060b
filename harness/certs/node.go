package certs

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/trace"
)

// Where kubeadm and the kubelet keep certificates, keys and kubeconfigs.
//
// https://kubernetes.io/docs/setup/best-practices/certificates/
const (
	kubeadmDir    = "/etc/kubernetes/"
	pkiDir        = kubeadmDir + "pki/"
	kubeletDir    = "/var/lib/kubelet/"
	kubeletPKI    = kubeletDir + "pki/"
	kubeletConf   = kubeadmDir + "kubelet.conf"
	kubeletConfig = kubeletDir + "config.yaml"
	kubeletFlags  = kubeletDir + "kubeadm-flags.env"
	// kubeletCurrent names the newest of the certificates that the kubelet got from the cluster; those before it have the time in their name.
	kubeletCurrent = "-current.pem"
)

// The authorities of a cluster.
const (
	kubernetesCA = pkiDir + "ca.crt"
	etcdCA       = pkiDir + "etcd/ca.crt"
	frontProxyCA = pkiDir + "front-proxy-ca.crt"
)

// accountsKey verifies the tokens of service accounts.
const accountsKey = pkiDir + "sa.pub"

// signerOf is the authority that whoever meets a certificate expects to have signed it, by the file that it is in; "" where another will do.
//
// https://kubernetes.io/docs/setup/best-practices/certificates/#all-certificates
func signerOf(file string) string {
	switch {
	case file == frontProxyCA:
		return file
	case strings.HasPrefix(file, pkiDir+"etcd/"), file == pkiDir+"apiserver-etcd-client.crt":
		return etcdCA
	case file == pkiDir+"front-proxy-client.crt":
		return frontProxyCA
	case file == kubeletPKI+"kubelet.crt":
		return "" // which the kubelet made itself
	}
	return kubernetesCA
}

// Node is what a node has of certificates. It holds keys, and nothing of them comes out.
type Node struct {
	name        string
	files       map[string]cluster.CertificateFile
	authorities []authority
	found       []trace.CertificateData
}

// authority is a certificate that may sign others.
type authority struct {
	file string
	cert *x509.Certificate
	// replaced says that another one of the file signs now.
	replaced bool
	// outside says that it is what a kubeconfig trusts, which is all that can be known of authorities from outside.
	outside bool
}

// Read takes apart what lies on a node. What can't be used is among what was found, with its problem.
func Read(node string, files []cluster.CertificateFile) *Node {
	n := &Node{name: node, files: map[string]cluster.CertificateFile{}}
	for _, f := range files {
		n.files[f.Path] = f
	}
	for _, name := range []string{kubernetesCA, etcdCA, frontProxyCA} {
		n.authoritiesOf(n.files[name])
	}
	for _, name := range slices.Sorted(maps.Keys(n.files)) {
		n.read(n.files[name])
	}
	return n
}

// Found is what lies on the node, ordered by path.
func (n *Node) Found() []trace.CertificateData { return n.found }

// Missing are files that a control plane lacks. Who has read them before goes on without them until it starts again.
func (n *Node) Missing() []trace.CertificateData {
	var list []trace.CertificateData
	for _, name := range expected() {
		if _, ok := n.files[name]; !ok {
			list = append(list, trace.CertificateData{
				Node: n.name, Place: trace.PlaceDisk, Path: name, Problem: "it is missing", Names: []string{}, Missing: []string{},
			})
		}
	}
	return list
}

// Kubeconfig is what a client reaches the API with: files that it names are those of the node. It holds a key.
type Kubeconfig struct {
	Path string
	// Certificate is the file that its client certificate is in: its own, or the one that it names.
	Certificate string
	// Server is a URL, ServerName the name that its certificate has to have in place of the URL's, or "".
	Server, ServerName   string
	Authority, Cert, Key []byte
}

// Kubeconfigs are those on the node that have a client certificate, ordered by path: it is empty when the file that they name was not read. Whatever else they may name to prove who one is, a program or a token, is left alone.
func (n *Node) Kubeconfigs() []Kubeconfig {
	var list []Kubeconfig
	for _, name := range slices.Sorted(maps.Keys(n.files)) {
		if !isKubeconfig(name) {
			continue
		}
		config, err := clientcmd.Load(n.files[name].Content)
		if err != nil {
			continue
		}
		user, server := current(config)
		if user == nil || server == nil {
			continue
		}
		k := Kubeconfig{Path: name, Certificate: name, Server: server.Server, ServerName: server.TLSServerName, Authority: server.CertificateAuthorityData, Cert: user.ClientCertificateData, Key: user.ClientKeyData}
		if len(k.Authority) == 0 {
			k.Authority = n.files[server.CertificateAuthority].Content
		}
		if len(k.Cert) == 0 {
			k.Certificate, k.Cert, k.Key = user.ClientCertificate, n.files[user.ClientCertificate].Content, n.files[user.ClientKey].Content
		}
		if k.Certificate != "" {
			list = append(list, k)
		}
	}
	return list
}

// isKubeconfig tells kubeconfigs by where they are: admin.conf and its like, and an administrator's .kube/config.
func isKubeconfig(name string) bool {
	return path.Dir(name)+"/" == kubeadmDir && path.Ext(name) == ".conf" || strings.HasSuffix(name, "/.kube/config")
}

// authoritiesOf reads a file of authorities. Of several the one signs whose key is there, or else the first.
func (n *Node) authoritiesOf(f cluster.CertificateFile) {
	if f.Path == "" {
		return
	}
	certs, err := certificates(f.Content)
	if err != nil {
		return // and read says so
	}
	signs := 0
	if key, err := n.publicKeyOf(keyFile(f.Path)); err == nil {
		signs = max(0, slices.IndexFunc(certs, func(c *x509.Certificate) bool { return sameKey(key, c.PublicKey) }))
	}
	for i, c := range certs {
		n.authorities = append(n.authorities, authority{file: f.Path, cert: c, replaced: i != signs})
	}
}

// read finds what is in a file.
func (n *Node) read(f cluster.CertificateFile) {
	switch {
	case isKubeconfig(f.Path):
		n.readKubeconfig(f)
	case f.Path == accountsKey:
		n.readAccountsKey(f)
	case path.Ext(f.Path) == ".crt", strings.HasSuffix(f.Path, kubeletCurrent):
		n.readCertificates(f)
	}
}

func (n *Node) add(f cluster.CertificateFile, d trace.CertificateData) {
	d.Node, d.Path, d.Written = n.name, f.Path, f.Written.UTC()
	if d.Place == "" {
		d.Place = trace.PlaceDisk
	}
	if d.Names == nil {
		d.Names, d.Missing = []string{}, []string{}
	}
	n.found = append(n.found, d)
}

// readCertificates finds a certificate and its key: in the file beside it, or in the same.
func (n *Node) readCertificates(f cluster.CertificateFile) {
	certs, err := certificates(f.Content)
	if err != nil {
		n.add(f, trace.CertificateData{Problem: err.Error()})
		return
	}
	private := f.Path
	if path.Ext(f.Path) == ".crt" {
		private = keyFile(f.Path)
	}
	d := n.describe(f.Path, certs)
	key, err := n.publicKeyOf(private)
	switch {
	case errors.Is(err, errAbsent) && d.Authority:
		d.External = true
	case err != nil:
		d.Problem = err.Error()
	case !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return sameKey(key, c.PublicKey) }) || !d.Authority && !sameKey(key, certs[0].PublicKey):
		d.Problem = "its key, " + private + ", is another certificate's"
	}
	if err == nil {
		d.KeyMode = mode(n.files[private])
	}
	if strings.HasPrefix(f.Path, kubeletPKI) && strings.HasPrefix(path.Base(f.Path), "kubelet-client") {
		d.Rotates = n.kubeletRotates()
	}
	n.add(f, d)
	for i, c := range certs[1:] {
		if !d.Authority || !c.IsCA {
			continue // what follows a certificate is its chain
		}
		more := n.describe(f.Path, []*x509.Certificate{c})
		more.Part = strconv.Itoa(i + 2)
		n.add(f, more)
	}
}

// describe says of the first certificate of a chain what is recorded, and whether the authority signed it that has to, or, of the one that a kubelet made itself, the next of the chain.
func (n *Node) describe(file string, chain []*x509.Certificate) trace.CertificateData {
	d := describe(chain[0])
	signer := signerOf(file)
	last := chain[0] // of those that the next in the chain has signed
	for _, next := range chain[1:] {
		if last.CheckSignatureFrom(next) != nil {
			break
		}
		last = next
	}
	for _, a := range n.authorities {
		if (a.file == signer || signer == "" || a.outside) && slices.ContainsFunc([]*x509.Certificate{chain[0], last}, func(c *x509.Certificate) bool { return a.cert.Equal(c) || c.CheckSignatureFrom(a.cert) == nil }) {
			d.Signer, d.Replaced = a.file, a.replaced
			return d
		}
	}
	if signer == "" && len(chain) > 1 && chain[0].CheckSignatureFrom(chain[1]) == nil {
		d.Signer = file
	}
	return d
}

// readAccountsKey finds the key that tokens of service accounts are verified with. It has no certificate.
func (n *Node) readAccountsKey(f cluster.CertificateFile) {
	keys, err := keyutil.ParsePublicKeysPEM(f.Content)
	if err != nil {
		n.add(f, trace.CertificateData{Problem: "it holds no public key"})
		return
	}
	d := trace.CertificateData{Subject: fingerprint(keys[0])}
	d.KeyKind, d.KeyBits = strength(keys[0])
	private := strings.TrimSuffix(f.Path, ".pub") + ".key"
	if key, err := n.publicKeyOf(private); err != nil {
		d.Problem = err.Error()
	} else {
		d.KeyMode = mode(n.files[private])
		if !sameKey(key, keys[0]) {
			d.Problem = "its key, " + private + ", is another's"
		}
	}
	n.add(f, d)
}

// fingerprint tells a public key from others, as ssh-keygen writes it.
func fingerprint(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// readKubeconfig finds the client certificate of a kubeconfig, unless it names a file with it, and the authorities that it trusts.
func (n *Node) readKubeconfig(f cluster.CertificateFile) {
	trouble := func(problem string) {
		n.add(f, trace.CertificateData{Place: trace.PlaceKubeconfig, Problem: problem})
	}
	config, err := clientcmd.Load(f.Content)
	if err != nil {
		trouble("it is no kubeconfig that can be read")
		return
	}
	user, server := current(config)
	switch {
	case user == nil || server == nil:
		trouble("its current context lacks a cluster or a user")
		return
	case len(user.ClientCertificateData) > 0:
		n.readClient(f, user)
	case user.ClientCertificate == "":
		trouble("it has no client certificate")
	}
	trusted, err := certificates(server.CertificateAuthorityData)
	if err != nil {
		return // what it trusts is in a file, or it does not work, which asking with it tells
	}
	for i, c := range trusted {
		d := n.describe(f.Path, []*x509.Certificate{c})
		d.Place, d.Part = trace.PlaceKubeconfig, "authority"
		if i > 0 {
			d.Part += strconv.Itoa(i + 1)
		}
		n.add(f, d)
	}
}

func (n *Node) readClient(f cluster.CertificateFile, user *clientcmdapi.AuthInfo) {
	certs, err := certificates(user.ClientCertificateData)
	if err != nil {
		n.add(f, trace.CertificateData{Place: trace.PlaceKubeconfig, Problem: err.Error()})
		return
	}
	d := n.describe(f.Path, certs)
	d.Place, d.KeyMode = trace.PlaceKubeconfig, mode(f)
	key, err := publicKey(user.ClientKeyData)
	switch {
	case err != nil:
		d.Problem = err.Error()
	case !sameKey(key, certs[0].PublicKey):
		d.Problem = "its key is another certificate's"
	}
	n.add(f, d)
}

// current is the user and the cluster of a kubeconfig's current context.
func current(config *clientcmdapi.Config) (*clientcmdapi.AuthInfo, *clientcmdapi.Cluster) {
	now := config.Contexts[config.CurrentContext]
	if now == nil {
		return nil, nil
	}
	return config.AuthInfos[now.AuthInfo], config.Clusters[now.Cluster]
}

// rotationOff finds the flag that turns it off, as the kubelet reads it.
var rotationOff = regexp.MustCompile(`--rotate-certificates=["']?(0|f|F|false|FALSE|False)\b`)

// kubeletRotates tells whether the kubelet renews its client certificate: it is told to, and uses the file that it writes.
//
// https://kubernetes.io/docs/tasks/tls/certificate-rotation/
func (n *Node) kubeletRotates() bool {
	var config struct {
		RotateCertificates bool `json:"rotateCertificates"`
	}
	if yaml.Unmarshal(n.files[kubeletConfig].Content, &config) != nil || !config.RotateCertificates {
		return false
	}
	if rotationOff.Match(n.files[kubeletFlags].Content) {
		return false // flags come before the configuration
	}
	conf, err := clientcmd.Load(n.files[kubeletConf].Content)
	if err != nil {
		return false
	}
	user, _ := current(conf)
	return user != nil && strings.HasSuffix(user.ClientCertificate, kubeletCurrent)
}

// servedFrom is the file that a component has the certificate from that it serves, by what kubeadm tells it; "" when it makes one itself.
func (n *Node) servedFrom(component string) string {
	switch component {
	case "kube-apiserver":
		return pkiDir + "apiserver.crt"
	case "etcd":
		return pkiDir + "etcd/server.crt"
	case "etcd-peer":
		return pkiDir + "etcd/peer.crt"
	case "kubelet":
		got := kubeletPKI + "kubelet-server" + kubeletCurrent
		if _, ok := n.files[got]; ok {
			return got
		}
		return kubeletPKI + "kubelet.crt"
	}
	return ""
}

// Served says what a component served, beside what is in the file that it has that from. clients are the names that it is known by.
func (n *Node) Served(s cluster.ServedCertificate, clients []string) trace.CertificateData {
	d := trace.CertificateData{Names: []string{}, Missing: []string{}}
	file := n.servedFrom(s.Component)
	chain, err := parse(s.Chain)
	switch {
	case s.Err != nil:
		d.Problem = s.Err.Error()
	case err != nil:
		d.Problem = err.Error()
	default:
		d = n.describe(file, chain)
		for _, name := range clients {
			if chain[0].VerifyHostname(name) != nil {
				d.Missing = append(d.Missing, name)
			}
		}
		if d.Signer == "" && s.Component == "kubelet" {
			d.Signer = n.signerInFile(file, chain[0])
		}
	}
	d.Node, d.Place, d.Component, d.Path, d.Newest = n.name, trace.PlaceServed, s.Component, file, n.newest(file)
	return d
}

// signerInFile is the file when what it holds beside the certificate signed it, as of a kubelet that made its own: it serves the first only.
func (n *Node) signerInFile(file string, of *x509.Certificate) string {
	certs, err := certificates(n.files[file].Content)
	if err == nil && slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return of.CheckSignatureFrom(c) == nil }) {
		return file
	}
	return ""
}

// readOnce are the files that a component reads when it starts, and never again: client-go reads a client certificate again that is in a file of its own, and not one that is inside a
// kubeconfig (client-go, transport/cert_rotation.go).
var readOnce = map[string]string{
	"kube-controller-manager": kubeadmDir + "controller-manager.conf",
	"kube-scheduler":          kubeadmDir + "scheduler.conf",
}

// Loaded says, of the components that read their certificate once, whether they have loaded what is in their file: one that was started before it was written has not. within is
// how far the starts may be off. Unknown are those of which it can't be said, and why.
func (n *Node) Loaded(since map[string]time.Time, within time.Duration) (list []trace.CertificateData, unknown []string) {
	for _, component := range slices.Sorted(maps.Keys(readOnce)) {
		began, runs := since[component]
		file := readOnce[component]
		i := slices.IndexFunc(n.found, func(d trace.CertificateData) bool { return d.Path == file && d.Part == "" })
		switch {
		case i < 0:
			continue // it is missing, which is said, or names a file with its certificate, which is read again by itself
		case !runs:
			unknown = append(unknown, fmt.Sprintf("what the %s of %s has loaded: it does not run", component, n.name))
			continue
		case began.Sub(n.found[i].Written).Abs() < within:
			unknown = append(unknown, fmt.Sprintf("what the %s of %s has loaded: it was started when %s was written", component, n.name, file))
			continue
		}
		d := n.found[i]
		d.Place, d.Component, d.Newest, d.Since, d.KeyMode = trace.PlaceLoaded, component, n.newest(file), began.UTC(), ""
		if began.Before(d.Written) {
			d = trace.CertificateData{
				Node: n.name, Place: d.Place, Component: component, Path: file, Names: []string{}, Missing: []string{}, Newest: d.Newest, Since: d.Since, Written: d.Written,
			} // what it has loaded instead is not known
		}
		list = append(list, d)
	}
	return list, unknown
}

// newest is what a file has now.
func (n *Node) newest(file string) *trace.CertificateRef {
	for _, d := range n.found {
		if d.Path == file && d.Part == "" && d.Serial != "" {
			return &trace.CertificateRef{Serial: d.Serial, NotAfter: d.NotAfter}
		}
	}
	return nil
}

// errAbsent is of a key that is not on the node.
var errAbsent = errors.New("its key is missing")

// publicKeyOf is the public half of the key in a file.
func (n *Node) publicKeyOf(file string) (crypto.PublicKey, error) {
	f, ok := n.files[file]
	if !ok {
		return nil, fmt.Errorf("%w: there is no %s", errAbsent, file)
	}
	return publicKey(f.Content)
}

// publicKey is the public half of a key in PEM. The error says nothing of what is there instead.
func publicKey(text []byte) (crypto.PublicKey, error) {
	key, err := keyutil.ParsePrivateKeyPEM(text)
	if err != nil {
		return nil, errors.New("its key is damaged, or none")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("its key is a %T, which signs nothing", key)
	}
	return signer.Public(), nil
}

func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface {
		Equal(other crypto.PublicKey) bool
	})
	return ok && key.Equal(b)
}

// mode is who may read and write a file, as chmod takes it.
func mode(f cluster.CertificateFile) string { return fmt.Sprintf("%04o", f.Mode.Perm()) }

// certificates reads those in PEM; other blocks are passed over, a damaged certificate is not.
func certificates(text []byte) ([]*x509.Certificate, error) {
	var bodies [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			bodies = append(bodies, block.Bytes)
		}
	}
	if n := bytes.Count(text, []byte("-----BEGIN CERTIFICATE-----")); n > len(bodies) {
		return nil, errDamaged
	}
	return parse(bodies)
}

var errDamaged = errors.New("its certificate is damaged")

// parse reads certificates in DER, of which there is at least one.
func parse(bodies [][]byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for _, body := range bodies {
		c, err := x509.ParseCertificate(body)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDamaged, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return certs, nil
}

// Server is the host that a kubeconfig's clients reach the API at, without the port, or "".
func (n *Node) Server() string {
	for _, name := range []string{kubeadmDir + "admin.conf", kubeletConf} {
		config, err := clientcmd.Load(n.files[name].Content)
		if err != nil {
			continue
		}
		if _, server := current(config); server != nil {
			return cmp.Or(server.TLSServerName, host(server.Server))
		}
	}
	return ""
}
