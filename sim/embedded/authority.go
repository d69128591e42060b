package embedded

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/ready"
)

// The capability AuthorityOperator, on the files and processes of the nodes.

var _ cluster.AuthorityOperator = (*Cluster)(nil)

// shared are the authorities of now.
func (c *Cluster) shared() authorities {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.authorities
}

// file is where a node has what a real one has at a path.
func (c *Cluster) file(node, path string) (string, error) {
	for there, ours := range map[string]string{"/etc/kubernetes/": "", "/var/lib/": "", "/root/": "root"} {
		if below, ok := strings.CutPrefix(path, there); ok && filepath.IsLocal(below) {
			return filepath.Join(c.nodeDir(node), ours, below), nil
		}
	}
	return "", fmt.Errorf("node %q has nothing at %q", node, path)
}

// MakeAuthority implements cluster.AuthorityOperator.
func (c *Cluster) MakeAuthority(_ context.Context, node, dir string) error {
	at, err := c.file(node, dir+"/"+kubernetesCA)
	if err != nil {
		return err
	}
	if _, err := os.Stat(at + ".key"); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	made, err := newAuthority(authorityNames[kubernetesCA], c.spec.Certificates)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	return writePair(at, made.Pair)
}

// WriteCertificateFiles implements cluster.AuthorityOperator.
func (c *Cluster) WriteCertificateFiles(_ context.Context, node string, files []cluster.CertificateFile) error {
	for _, f := range files {
		at, err := c.file(node, f.Path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(at+".partial", f.Content, f.Mode.Perm()); err != nil {
			return fmt.Errorf("write %q of %q: %w", f.Path, node, err)
		}
		if err := os.Rename(at+".partial", at); err != nil {
			return fmt.Errorf("write %q of %q: %w", f.Path, node, err)
		}
	}
	return nil
}

// RemoveCertificateDirs implements cluster.AuthorityOperator.
func (c *Cluster) RemoveCertificateDirs(_ context.Context, node string, dirs ...string) error {
	for _, dir := range dirs {
		at, err := c.file(node, dir)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(at); err != nil {
			return err
		}
	}
	return nil
}

// signing is the authority that the node's controller manager signs with, as far as its file is.
func (p *controlPlane) signing() string {
	if p.signsWith != "" {
		return p.signsWith
	}
	return p.pki(kubernetesCA)
}

// SignWith implements cluster.AuthorityOperator.
func (c *Cluster) SignWith(_ context.Context, node, dir string) error {
	p, err := c.planeOf(node)
	if err != nil {
		return err
	}
	at, err := c.file(node, dir+"/"+kubernetesCA)
	if err != nil {
		return err
	}
	c.mu.Lock()
	p.signsWith = at
	args := c.arguments(p, controllerManager)
	c.mu.Unlock()
	p.components[controllerManager].with(args)
	return nil
}

// RenewKubelet implements cluster.AuthorityOperator: a kubelet.conf with a certificate in it, with which the kubelet gets one of its own, which kubelet.conf names then.
func (c *Cluster) RenewKubelet(ctx context.Context, node string) error {
	if err := c.renewKubelet(ctx, node); err != nil {
		return fmt.Errorf("give the kubelet of %q a new certificate: %w", node, err)
	}
	return nil
}

func (c *Cluster) renewKubelet(ctx context.Context, node string) error {
	read, err := readAuthorities(c.planes[0].pki(""))
	if err != nil {
		return err
	}
	pair, err := read.issuer(c.spec.Certificates).kubelet(node)
	if err != nil {
		return err
	}
	trusted, err := c.trustedBy(node)
	if err != nil {
		return err
	}
	if err := c.writeKubeletConf(node, trusted, pair); err != nil {
		return err
	}
	had, err := filepath.Glob(filepath.Join(c.nodeDir(node), "kubelet", "pki", kubeletClientStore+"-*"))
	if err != nil {
		return err
	}
	for _, file := range had {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	if err := c.RestartKubelet(ctx, node); err != nil || c.spec.Certificates.FixedKubelets {
		return err
	}
	err = ready.Poll(ctx, "the kubelet of "+node+" has a certificate from the cluster", func(context.Context) error {
		var now []byte // what it shows: the file may have that a moment before it is through with it
		for _, der := range c.identities[node].certificate().Certificate {
			now = append(now, pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der})...)
		}
		return read[kubernetesCA].Replaced(now, pair)
	})
	if err != nil {
		return err
	}
	if err := c.nameKubeletStore(node, trusted); err != nil {
		return err
	}
	return c.RestartKubelet(ctx, node)
}

// Follow implements cluster.AuthorityOperator.
func (c *Cluster) Follow(context.Context) error {
	read, err := readAuthorities(c.planes[0].pki(""))
	if err != nil {
		return err
	}
	pair, err := superAdmin.certificate(read.issuer(cluster.Certificates{}))
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.authorities = read
	c.mu.Unlock()
	c.self.Become(read[kubernetesCA].Cert, pair)
	return nil
}

// trustedBy are the authorities in a node's kubelet.conf.
func (c *Cluster) trustedBy(node string) ([]byte, error) {
	conf, err := clientcmd.LoadFromFile(filepath.Join(c.nodeDir(node), "kubelet.conf"))
	if err != nil {
		return nil, err
	}
	return conf.Clusters[clusterName].CertificateAuthorityData, nil
}
