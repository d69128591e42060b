package certificates

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
)

// What a rotation reads and writes on nodes: authorities, and kubeconfigs that trust them.

// Where things are on a control plane node. Keys are in the folders only while the step lasts.
const (
	pkiDir     = "/etc/kubernetes/pki"
	nextDir    = pkiDir + "/next"    // the new authority
	signingDir = pkiDir + "/signing" // the one that the controller manager signs with: its file may have one certificate only
	caCert     = "ca.crt"
	caKey      = "ca.key"
)

// authority is a pair in a folder of a node.
type authority struct{ cert, key []byte }

// read reads the authority in a folder of a node.
func (r rotation) read(ctx context.Context, node, dir string) (authority, error) {
	files, err := r.operator.CertificateFiles(ctx, node)
	if err != nil {
		return authority{}, err
	}
	var a authority
	for _, f := range files {
		switch f.Path {
		case path.Join(dir, caCert):
			a.cert = f.Content
		case path.Join(dir, caKey):
			a.key = f.Content
		}
	}
	if serialOf(a.cert) == "" {
		return a, fmt.Errorf("node/%s has no certificate in %s", node, path.Join(dir, caCert))
	}
	return a, nil
}

func (r rotation) write(ctx context.Context, node, dir string, a authority) error {
	return r.operator.WriteCertificateFiles(ctx, node, []cluster.CertificateFile{
		{Path: path.Join(dir, caCert), Mode: 0o644, Content: a.cert}, {Path: path.Join(dir, caKey), Mode: 0o600, Content: a.key},
	})
}

// adminConfs are the kubeconfigs that kubeadm makes for control planes, and kubeletConf the one that every node has.
var adminConfs = []string{"admin.conf", superAdmin, "controller-manager.conf", "scheduler.conf"}

const kubeletConf = "kubelet.conf"

// writeTrust writes what a node trusts: the authority's file, and its kubeconfigs.
func (r rotation) writeTrust(ctx context.Context, node string, trusted []byte) error {
	err := r.operator.WriteCertificateFiles(ctx, node, []cluster.CertificateFile{{Path: path.Join(pkiDir, caCert), Mode: 0o644, Content: trusted}})
	if err != nil {
		return err
	}
	return r.writeConfs(ctx, node, trusted, append(slices.Clone(adminConfs), kubeletConf))
}

// writeConfs writes whom a node's kubeconfigs of these names trust, those that are there.
func (r rotation) writeConfs(ctx context.Context, node string, trusted []byte, names []string) error {
	files, err := r.operator.CertificateFiles(ctx, node)
	if err != nil {
		return err
	}
	var changed []cluster.CertificateFile
	for _, f := range files {
		if path.Dir(f.Path) != path.Dir(pkiDir) || !slices.Contains(names, path.Base(f.Path)) {
			continue
		}
		if f.Content, err = trusting(f.Content, trusted); err != nil {
			return fmt.Errorf("node/%s: read %s: %w", node, f.Path, err)
		}
		changed = append(changed, f)
	}
	if len(changed) == 0 {
		return fmt.Errorf("node/%s has none of %s", node, strings.Join(names, ", "))
	}
	return r.operator.WriteCertificateFiles(ctx, node, changed)
}

// trusting is a kubeconfig with other authorities.
func trusting(conf, trusted []byte) ([]byte, error) {
	config, err := clientcmd.Load(conf)
	if err != nil {
		return nil, err
	}
	for _, c := range config.Clusters {
		c.CertificateAuthorityData = trusted
	}
	return clientcmd.Write(*config)
}

// bundle puts certificates one after the other.
func bundle(certificates ...[]byte) []byte {
	var all []byte
	for _, c := range certificates {
		all = append(append(all, bytes.TrimSpace(c)...), '\n')
	}
	return all
}

// firstOf is the first certificate of a file, the one that signs.
func firstOf(file []byte) []byte {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil
	}
	return pem.EncodeToMemory(block)
}

// same tells whether two files have the same certificate first.
func same(a, b []byte) bool { return bytes.Equal(firstOf(a), firstOf(b)) }

// serialOf is the serial number of the first certificate of a file, as the recording has it, or "".
func serialOf(file []byte) string {
	block, _ := pem.Decode(file)
	if block == nil {
		return ""
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return certs.Serial(c)
}

// blocks are the certificates of a file, each in DER.
func blocks(file []byte) [][]byte {
	var all [][]byte
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		all = append(all, block.Bytes)
	}
	return all
}

// sameSet tells whether two files have the same certificates, in whatever order.
func sameSet(a, b []byte) bool {
	of := func(file []byte) []string {
		var all []string
		for _, der := range blocks(file) {
			all = append(all, string(der))
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	return slices.Equal(of(a), of(b))
}
