package kind

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/pki"
	"github.com/seatrial/seatrial/sim/ready"
)

// The capability AuthorityOperator, by the commands and files of the runbook.

var _ cluster.AuthorityOperator = (*Cluster)(nil)

const (
	pkiFolder = "/etc/kubernetes/pki"
	// arrivals is where files of a node come to before they take their places: on the same file system, so that they do so at once.
	arrivals = "/etc/kubernetes/tmp/seatrial"
	// kubeletFile is the kubelet's kubeconfig, and kubeletPair what it has got from the cluster.
	kubeletFile = "/etc/kubernetes/kubelet.conf"
	kubeletPair = "/var/lib/kubelet/pki/kubelet-client-current.pem"
)

// MakeAuthority implements cluster.AuthorityOperator.
func (c *Cluster) MakeAuthority(ctx context.Context, node, dir string) error {
	m, err := c.machine(node)
	if err == nil {
		_, err = c.run(ctx, m, nil, "kubeadm", "init", "phase", "certs", "ca", "--cert-dir", dir)
	}
	return err
}

// WriteCertificateFiles implements cluster.AuthorityOperator. What is in them is not recorded.
func (c *Cluster) WriteCertificateFiles(ctx context.Context, node string, files []cluster.CertificateFile) (err error) {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	defer func() {
		_, removed := c.run(ctx, m, nil, "rm", "-rf", arrivals)
		err = errors.Join(err, removed)
	}()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: path.Clean(f.Path)[1:], Mode: int64(f.Mode.Perm()), Size: int64(len(f.Content)), ModTime: time.Now()}); err != nil {
			return err
		}
		if _, err := w.Write(f.Content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if _, err := c.run(ctx, m, nil, "mkdir", "-p", arrivals); err != nil {
		return err
	}
	if err := c.engine.Do(ctx, engine.Command{Args: []string{"exec", "--interactive", m.container, "tar", "-C", arrivals, "-xf", "-"}, Stdin: &archive}); err != nil {
		return fmt.Errorf("write files of %q: %w", node, err)
	}
	for _, f := range files {
		if _, err := c.run(ctx, m, nil, "mkdir", "-p", path.Dir(f.Path)); err != nil {
			return err
		}
		if _, err := c.run(ctx, m, nil, "mv", "--no-target-directory", path.Join(arrivals, f.Path), f.Path); err != nil {
			return err
		}
	}
	return nil
}

// RemoveCertificateDirs implements cluster.AuthorityOperator.
func (c *Cluster) RemoveCertificateDirs(ctx context.Context, node string, dirs ...string) error {
	m, err := c.machine(node)
	if err == nil {
		_, err = c.run(ctx, m, nil, append([]string{"rm", "-rf"}, dirs...)...)
	}
	return err
}

// signing finds what the controller manager signs with in its manifest.
var signing = regexp.MustCompile(`(--cluster-signing-(cert|key)-file=)\S+/(ca\.\w+)`)

// SignWith implements cluster.AuthorityOperator: the kubelet runs the manifest that it finds.
func (c *Cluster) SignWith(ctx context.Context, node, dir string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	const file = "kube-controller-manager.yaml"
	read, err := c.read(ctx, m, manifestsFolder, file)
	if err != nil {
		return err
	}
	manifest, err := signWith(read[file], dir)
	if err != nil {
		return fmt.Errorf("node %q: read %s: %w", node, file, err)
	}
	return c.WriteCertificateFiles(ctx, node, []cluster.CertificateFile{{Path: path.Join(manifestsFolder, file), Mode: 0o600, Content: manifest}})
}

// signWith is a manifest of a controller manager that signs with the authority in a folder.
func signWith(manifest []byte, dir string) ([]byte, error) {
	if found := signing.FindAll(manifest, -1); len(found) != 2 {
		return nil, fmt.Errorf("expected two files that it signs with, found %d", len(found))
	}
	return signing.ReplaceAll(manifest, []byte("${1}"+dir+"/${3}")), nil
}

// RenewKubelet implements cluster.AuthorityOperator: a kubelet.conf with a certificate in it, with which the kubelet gets one of its own, which kubelet.conf names then.
func (c *Cluster) RenewKubelet(ctx context.Context, node string) error {
	if err := c.renewKubelet(ctx, node); err != nil {
		return fmt.Errorf("give the kubelet of %q a new certificate: %w", node, err)
	}
	return nil
}

func (c *Cluster) renewKubelet(ctx context.Context, node string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	who := pki.Subject{CommonName: "system:node:" + node, Organizations: []string{"system:nodes"}, Usages: pki.ClientUsage}
	pair, authority, err := c.issue(ctx, pkiFolder, who, cmp.Or(c.spec.Certificates.Validity, pki.Validity))
	if err != nil {
		return err
	}
	err = c.editKubelet(ctx, m, func(user *clientcmdapi.AuthInfo) {
		user.ClientCertificate, user.ClientKey, user.ClientCertificateData, user.ClientKeyData = "", "", pair.Cert, pair.Key
	})
	if err != nil {
		return err
	}
	if _, err := c.run(ctx, m, nil, "find", path.Dir(kubeletPair), "-name", "kubelet-client-*", "-delete"); err != nil {
		return err
	}
	if err := c.RestartKubelet(ctx, node); err != nil || c.spec.Certificates.FixedKubelets {
		return err
	}
	dir, name := path.Split(kubeletPair)
	err = ready.Poll(ctx, "the kubelet of "+node+" has a certificate from the cluster", func(ctx context.Context) error {
		read, err := c.read(ctx, m, dir, "--dereference", name) // a link to the newest
		if err == nil {
			err = authority.Replaced(read[name], pair)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", kubeletPair, err)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = c.editKubelet(ctx, m, func(user *clientcmdapi.AuthInfo) {
		user.ClientCertificate, user.ClientKey, user.ClientCertificateData, user.ClientKeyData = kubeletPair, kubeletPair, nil, nil
	})
	if err != nil {
		return err
	}
	return c.RestartKubelet(ctx, node)
}

// editKubelet changes what a node's kubelet.conf says of its user.
func (c *Cluster) editKubelet(ctx context.Context, m machine, edit func(*clientcmdapi.AuthInfo)) error {
	dir, name := path.Split(kubeletFile)
	read, err := c.read(ctx, m, dir, name)
	if err != nil {
		return err
	}
	config, err := clientcmd.Load(read[name])
	if err != nil {
		return fmt.Errorf("read %s: %w", kubeletFile, err)
	}
	for _, user := range config.AuthInfos {
		edit(user)
	}
	written, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return c.WriteCertificateFiles(ctx, m.node, []cluster.CertificateFile{{Path: kubeletFile, Mode: 0o600, Content: written}})
}

// Follow implements cluster.AuthorityOperator. The kubeconfig of a cluster that is kept or reopened follows too.
func (c *Cluster) Follow(ctx context.Context) error {
	pair, authority, err := c.issue(ctx, pkiFolder, us, pki.Validity)
	if err != nil {
		return err
	}
	config, err := clientcmd.LoadFromFile(c.kubeconfig())
	if err != nil {
		return fmt.Errorf("read kind's kubeconfig: %w", err)
	}
	for _, named := range config.Clusters {
		named.CertificateAuthorityData = authority.Cert
	}
	for _, user := range config.AuthInfos {
		user.ClientCertificateData, user.ClientKeyData = pair.Cert, pair.Key
	}
	c.self.Become(authority.Cert, pair)
	return clientcmd.WriteToFile(*config, c.kubeconfig())
}
