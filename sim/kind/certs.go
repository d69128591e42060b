package kind

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/pki"
)

// The capability CertOperator, by kubeadm's own commands in the nodes.

var _ cluster.CertOperator = (*Cluster)(nil)

// adminCopy is where kubectl looks for a kubeconfig.
const adminCopy = "/root/.kube/config"

// CertificateFiles implements cluster.CertOperator. The manifests, and what kubeadm keeps of earlier ones, have no certificates.
func (c *Cluster) CertificateFiles(ctx context.Context, node string) ([]cluster.CertificateFile, error) {
	m, err := c.machine(node)
	if err != nil {
		return nil, err
	}
	entries, err := c.unpacked(ctx, m, "/", "--format=posix", "--dereference", "--hard-dereference", "--ignore-failed-read", "--exclude=etc/kubernetes/manifests*", "--exclude=etc/kubernetes/tmp",
		"etc/kubernetes", "var/lib/kubelet/pki", "var/lib/kubelet/config.yaml", "var/lib/kubelet/kubeadm-flags.env", strings.TrimPrefix(adminCopy, "/"))
	if err != nil {
		return nil, fmt.Errorf("read the certificates of %q: %w", node, err)
	}
	var files []cluster.CertificateFile
	for _, e := range entries {
		files = append(files, cluster.CertificateFile{Path: path.Join("/", e.header.Name), Mode: e.header.FileInfo().Mode(), Written: e.header.ModTime, Content: e.content})
	}
	return files, nil
}

// ServedCertificates implements cluster.CertOperator with openssl s_client, which shows what any client is shown. What it prints has whole certificates, so it is not recorded.
func (c *Cluster) ServedCertificates(ctx context.Context, node string) ([]cluster.ServedCertificate, error) {
	m, err := c.machine(node)
	if err != nil {
		return nil, err
	}
	servers := []struct{ component, address string }{{"kubelet", "127.0.0.1:10250"}}
	if m.role == cluster.ControlPlane {
		servers = append(servers, []struct{ component, address string }{
			{"kube-apiserver", "127.0.0.1:6443"}, {"etcd", "127.0.0.1:2379"}, {"etcd-peer", net.JoinHostPort(c.addresses[node], "2380")},
			{"kube-controller-manager", "127.0.0.1:10257"}, {"kube-scheduler", "127.0.0.1:10259"},
		}...)
	}
	ctx, cancel := context.WithTimeout(ctx, shownTimeout*time.Duration(len(servers)+1))
	defer cancel()
	argv := []string{"exec", m.container, "sh", "-c", shakeHands, "sh"}
	for _, s := range servers {
		argv = append(argv, s.address)
	}
	var out strings.Builder
	if err := c.engine.Do(ctx, engine.Command{Args: argv, Stdout: &out}); err != nil {
		return nil, err
	}
	answers := strings.Split(out.String(), answerBegins+"\n")[1:]
	if len(answers) != len(servers) {
		return nil, fmt.Errorf("shake hands with %d servers of %q: %d answers", len(servers), node, len(answers))
	}
	var served []cluster.ServedCertificate
	for i, s := range servers {
		chain, err := shown(answers[i])
		served = append(served, cluster.ServedCertificate{Component: s.component, Chain: chain, Err: err})
	}
	return served, nil
}

// shownTimeout is how long a server may take to show its certificate.
const shownTimeout = 10 * time.Second

// answerBegins is the line before what comes of one handshake.
const answerBegins = "=== seatrial: a handshake"

// shakeHands shakes hands with servers, one after the other: each command that an engine gives in a node costs more than all of them. That a server wants a certificate of the client too makes openssl fail after it has
// printed the server's. timeout(1) ends with status 124 when it was up.
var shakeHands = fmt.Sprintf(`for server in "$@"; do
	echo "%s"
	timeout %.0f openssl s_client -connect "$server" -showcerts </dev/null 2>&1 || echo "it ended with status $?"
done`, answerBegins, shownTimeout.Seconds())

// shown are the certificates in what openssl printed, or why there are none: its last lines say it.
func shown(answer string) (chain [][]byte, err error) {
	for block, rest := pem.Decode([]byte(answer)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			chain = append(chain, block.Bytes)
		}
	}
	if len(chain) == 0 {
		said, _, _ := strings.Cut(answer, "-----BEGIN") // a body that breaks off is not for the recording
		lines := strings.Split(strings.TrimSpace(said), "\n")
		err = fmt.Errorf("it showed no certificate: %s", strings.Join(lines[max(0, len(lines)-2):], ", "))
	}
	return chain, err
}

// CheckExpiration implements cluster.CertOperator.
func (c *Cluster) CheckExpiration(ctx context.Context, node string) (map[string]time.Time, error) {
	m, err := c.machine(node)
	if err != nil {
		return nil, err
	}
	out, err := c.run(ctx, m, nil, "kubeadm", "certs", "check-expiration", "-o", "json")
	if err != nil {
		return nil, err
	}
	return expirations(out)
}

// expirations reads what kubeadm certs check-expiration printed as JSON. What is missing on the node has no date there.
// https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-certs/
func expirations(out string) (map[string]time.Time, error) {
	type entry struct {
		Name string    `json:"name"`
		Ends time.Time `json:"expirationDate"`
	}
	var said struct {
		Certificates []entry `json:"certificates"`
		Authorities  []entry `json:"certificateAuthorities"`
	}
	if err := json.Unmarshal([]byte(out[max(0, strings.Index(out, "{")):]), &said); err != nil {
		return nil, fmt.Errorf("read what kubeadm certs check-expiration says: %w", err)
	}
	ends := map[string]time.Time{}
	for _, e := range slices.Concat(said.Certificates, said.Authorities) {
		if !e.Ends.IsZero() {
			ends[e.Name] = e.Ends.UTC()
		}
	}
	if len(ends) == 0 {
		return nil, errors.New("kubeadm certs check-expiration lists nothing")
	}
	return ends, nil
}

// RenewCertificates implements cluster.CertOperator with kubeadm certs renew.
func (c *Cluster) RenewCertificates(ctx context.Context, node string, names []string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := c.run(ctx, m, nil, "kubeadm", "certs", "renew", name); err != nil {
			return fmt.Errorf("renew certificates of %q: %w", node, err)
		}
	}
	return nil
}

// RestartKubelet implements cluster.CertOperator.
func (c *Cluster) RestartKubelet(ctx context.Context, node string) error {
	m, err := c.machine(node)
	if err == nil {
		_, err = c.run(ctx, m, nil, "systemctl", "restart", "kubelet")
	}
	return err
}

// copyAdmin copies admin.conf on the first control plane to where kubectl looks for it, as kubeadm init tells people to do.
func (c *Cluster) copyAdmin(ctx context.Context) error {
	if !c.spec.Certificates.CopyAdmin {
		return nil
	}
	m := c.machines[0]
	if _, err := c.run(ctx, m, nil, "mkdir", "-p", path.Dir(adminCopy)); err != nil {
		return err
	}
	_, err := c.run(ctx, m, nil, "cp", "/etc/kubernetes/admin.conf", adminCopy)
	return err
}

// The versions of Kubernetes that certificates with another validity take, and where kind writes another version of kubeadm's configuration.
const (
	minorOfValidity = 31 // https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/
	minorOfV1beta4  = 36 // kind v0.33, pkg/cluster/internal/kubeadm/config.go
)

// validityPatch tells kubeadm how long certificates live, and the controller manager how long what it signs does. Only v1beta4 of kubeadm's configuration has the fields; kind writes v1beta3
// for Kubernetes before 1.36, in which arguments are a mapping and not a list.
func validityPatch(spec cluster.Spec, version string) (*v1alpha4.PatchJSON6902, error) {
	lives := spec.Certificates
	if lives.Validity == 0 && lives.AuthorityValidity == 0 {
		return nil, nil
	}
	minor := minorOf(version)
	if minor < minorOfValidity {
		return nil, fmt.Errorf("kubeadm %s takes no validity of certificates: v1.%d does", version, minorOfValidity)
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	type argument struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	patch := &v1alpha4.PatchJSON6902{Group: "kubeadm.k8s.io", Version: "v1beta4", Kind: "ClusterConfiguration"}
	var operations []operation
	manager := []argument{{"enable-hostpath-provisioner", "true"}}
	if minor < minorOfV1beta4 {
		patch.Version = "v1beta3"
		var common []argument
		if len(spec.FeatureGates) > 0 {
			common = append(common, argument{"feature-gates", cluster.Switches(spec.FeatureGates)})
		}
		manager = append(manager, common...)
		server := []argument{{"runtime-config", cluster.Switches(spec.RuntimeConfig)}}
		if spec.EncryptSecrets {
			server = append(server, argument{encryptionFlag, encryptionDir + "/" + encryptionFile})
		}
		operations = append(operations,
			operation{"add", "/apiVersion", "kubeadm.k8s.io/v1beta4"},
			operation{"add", "/apiServer/extraArgs", append(server, common...)},
			operation{"add", "/scheduler/extraArgs", append([]argument{}, common...)},
		)
	}
	if lives.Validity > 0 {
		operations = append(operations, operation{"add", "/certificateValidityPeriod", lives.Validity.String()})
		manager = append(manager, argument{"cluster-signing-duration", lives.Validity.String()})
	}
	if lives.AuthorityValidity > 0 {
		operations = append(operations, operation{"add", "/caCertificateValidityPeriod", lives.AuthorityValidity.String()})
	}
	if minor < minorOfV1beta4 {
		operations = append(operations, operation{"add", "/controllerManager/extraArgs", manager})
	} else if lives.Validity > 0 {
		operations = append(operations, operation{"add", "/controllerManager/extraArgs/-", manager[len(manager)-1]})
	}
	text, err := yaml.Marshal(operations)
	patch.Patch = string(text)
	return patch, err
}

// certificates patches a configuration for certificates that are not as by default.
func certificates(config *v1alpha4.Cluster, spec cluster.Spec, version string) error {
	patch, err := validityPatch(spec, version)
	if err != nil {
		return err
	}
	if patch != nil {
		config.KubeadmConfigPatchesJSON6902 = append(config.KubeadmConfigPatchesJSON6902, *patch)
	}
	if spec.Certificates.ServingRequests {
		config.KubeadmConfigPatches = append(config.KubeadmConfigPatches, "kind: KubeletConfiguration\nserverTLSBootstrap: true\n")
	}
	if !spec.Certificates.FixedKubelets {
		return nil
	}
	if minorOf(version) >= minorOfV1beta4 {
		return fmt.Errorf("kubelets that renew nothing are made for Kubernetes before v1.%d only", minorOfV1beta4)
	}
	// kubeadm takes rotateCertificates: false for nothing said, and sets it.
	for i := range config.Nodes {
		for _, kind := range []string{"InitConfiguration", "JoinConfiguration"} {
			config.Nodes[i].KubeadmConfigPatches = append(config.Nodes[i].KubeadmConfigPatches,
				"kind: "+kind+"\nnodeRegistration:\n  kubeletExtraArgs:\n    rotate-certificates: \"false\"\n")
		}
	}
	return nil
}

// ourLife is how long our own certificates live where the cluster's live shortly: who watches outlives what is watched.
const ourLife = 24 * time.Hour

// issue makes a certificate, signed by an authority of the cluster, whose key is read for that and held in memory only.
func (c *Cluster) issue(ctx context.Context, dir string, who pki.Subject, life time.Duration) (pair pki.Pair, authority *pki.Authority, err error) {
	files, err := c.read(ctx, c.machines[0], dir, "ca.crt", "ca.key")
	if err != nil {
		return pair, nil, err
	}
	if authority, err = pki.ParseAuthority(pki.Pair{Cert: files["ca.crt"], Key: files["ca.key"]}); err != nil {
		return pair, nil, err
	}
	pair, err = authority.Issue(who, time.Now(), life)
	return pair, authority, err
}

// us is who we are to the API.
var us = pki.Subject{CommonName: "seatrial", Organizations: []string{"system:masters"}, Usages: pki.ClientUsage}

// outlast gives us a certificate that outlasts those of the cluster, where they live shortly.
func (c *Cluster) outlast(ctx context.Context, config *rest.Config) error {
	if c.spec.Certificates.Validity == 0 {
		return nil
	}
	pair, _, err := c.issue(ctx, pkiFolder, us, ourLife)
	if err != nil {
		return fmt.Errorf("make a client certificate of our own: %w", err)
	}
	config.CertData, config.KeyData = pair.Cert, pair.Key
	return nil
}

// ourEtcdClient is as [Cluster.etcdClient], with a certificate of our own.
func (c *Cluster) ourEtcdClient(ctx context.Context) (*tls.Config, error) {
	pair, authority, err := c.issue(ctx, pkiFolder+"/etcd", pki.Subject{CommonName: "seatrial", Usages: pki.ClientUsage}, ourLife)
	if err != nil {
		return nil, err
	}
	return authority.Client(pair)
}
