package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
)

// The capability CertOperator, on the files and processes of the nodes.

var _ cluster.CertOperator = (*Cluster)(nil)

// nodeDir is what is a node's own: of a control plane all that it has, of another what its kubelet has.
func (c *Cluster) nodeDir(node string) string { return filepath.Join(c.spec.StateDir, node) }

// placed says where a real node has what is at a path in the node's folder, "" for what is no matter of certificates.
func placed(file string) string {
	switch dir, name := filepath.Split(file); {
	case strings.HasPrefix(file, "pki/"), dir == "" && filepath.Ext(file) == ".conf":
		return "/etc/kubernetes/" + file
	case file == "kubelet/config.yaml", dir == "kubelet/pki/" && (strings.HasSuffix(name, "-current.pem") || !strings.HasSuffix(name, ".pem")):
		return "/var/lib/" + file
	case file == adminCopy:
		return "/root/.kube/config"
	}
	return ""
}

// adminCopy is the administrator's own copy of admin.conf, in the node's folder.
const adminCopy = "root/.kube/config"

// copyAdmin copies admin.conf on the first control plane to where kubectl looks for it, as kubeadm init tells people to do.
// https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/#more-information
func (c *Cluster) copyAdmin() error {
	if !c.spec.Certificates.CopyAdmin {
		return nil
	}
	p := c.planes[0]
	to := filepath.Join(p.dir, adminCopy)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return copyFile(p.conf("admin"), to)
}

// CertificateFiles implements cluster.CertOperator.
func (c *Cluster) CertificateFiles(_ context.Context, node string) ([]cluster.CertificateFile, error) {
	root := c.nodeDir(node)
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) && c.plane(node) == nil {
		return nil, nil // a hollow node without certificates has no folder
	}
	var files []cluster.CertificateFile
	err := filepath.WalkDir(root, func(file string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		path := placed(below)
		if path == "" {
			return nil
		}
		info, err := os.Stat(file) // of what a link leads to: the kubelet's newest certificate is one
		if err != nil || info.IsDir() {
			return err
		}
		content, err := os.ReadFile(file)
		files = append(files, cluster.CertificateFile{Path: path, Mode: info.Mode(), Written: info.ModTime(), Content: content})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the certificates of %q: %w", node, err)
	}
	return files, nil
}

// ServedCertificates implements cluster.CertOperator. Hollow kubelets serve nothing.
func (c *Cluster) ServedCertificates(ctx context.Context, node string) ([]cluster.ServedCertificate, error) {
	p := c.plane(node)
	if p == nil {
		return nil, nil
	}
	var served []cluster.ServedCertificate
	for _, at := range []struct {
		component string
		port      int
	}{{apiServer, p.ports.apiServer}, {etcd, p.ports.etcdClient}, {"etcd-peer", p.ports.etcdPeer}, {controllerManager, p.ports.controllerManager}, {scheduler, p.ports.scheduler}} {
		chain, err := cluster.Handshake(ctx, address(at.port))
		served = append(served, cluster.ServedCertificate{Component: at.component, Chain: chain, Err: err})
	}
	return served, nil
}

// CheckExpiration implements cluster.CertOperator: kubeadm does not run here.
func (c *Cluster) CheckExpiration(context.Context, string) (map[string]time.Time, error) {
	return nil, nil
}

// RenewCertificates implements cluster.CertOperator as kubeadm certs renew does: with the authorities whose keys are on the node.
func (c *Cluster) RenewCertificates(_ context.Context, node string, names []string) error {
	p, err := c.planeOf(node)
	if err == nil {
		err = c.renew(p, func(name string) bool { return slices.Contains(names, name) || slices.Contains(names, "all") })
	}
	if err != nil {
		return fmt.Errorf("renew certificates of %q: %w", node, err)
	}
	return nil
}

// renew issues the wanted ones of a control plane's certificates and kubeconfigs, by kubeadm's names. Who has read the old ones goes on with them.
func (c *Cluster) renew(p *controlPlane, wanted func(name string) bool) error {
	read, err := readAuthorities(p.pki(""))
	if err != nil {
		return err
	}
	issuer := read.issuer(c.spec.Certificates)
	if err := issuer.writeLeaves(p.pki(""), p.node, p.ip, wanted); err != nil {
		return err
	}
	return issuer.writeKubeconfigs(p.dir, c.balancer.Addr(), p.serverAddress(), func(file string) bool {
		return wanted(file) && (file != superAdmin.file || p.first)
	})
}

// RestartKubelet implements cluster.CertOperator.
func (c *Cluster) RestartKubelet(_ context.Context, node string) error {
	if i := c.identities[node]; i != nil {
		if err := c.load(node, i); err != nil {
			return fmt.Errorf("restart the kubelet of %q: %w", node, err)
		}
	}
	return c.kubelets.Restart(node)
}
