package embedded

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/cluster"
)

var _ cluster.Encryption = (*Cluster)(nil)

// encryptionConfig is the file that says with which key the node's API server encrypts Secrets.
func (p *controlPlane) encryptionConfig() string { return filepath.Join(p.dir, "encryption.yaml") }

// encryptSecrets gives every API server the same key, if the cluster is to have one.
func (c *Cluster) encryptSecrets() error {
	if !c.spec.EncryptSecrets {
		return nil
	}
	key := make([]byte, cluster.EncryptionKeySize)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	for _, p := range c.planes {
		if err := p.writeEncryptionConfig(key); err != nil {
			return err
		}
	}
	return nil
}

// SetEncryptionKey implements cluster.Encryption.
func (c *Cluster) SetEncryptionKey(_ context.Context, node string, key []byte) error {
	p, err := c.planeOf(node)
	if err != nil {
		return err
	}
	if !c.spec.EncryptSecrets {
		return fmt.Errorf("set the encryption key of %q: its API server does not encrypt", node)
	}
	return p.writeEncryptionConfig(key)
}

// writeEncryptionConfig writes one key, and that what is not encrypted is read too, as it is where encryption was introduced.
// https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
func (p *controlPlane) writeEncryptionConfig(key []byte) error {
	config, err := yaml.Marshal(map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
		"resources": []any{map[string]any{
			"resources": []string{"secrets"},
			"providers": []any{
				map[string]any{"secretbox": map[string]any{"keys": []any{map[string]any{"name": "key1", "secret": base64.StdEncoding.EncodeToString(key)}}}},
				map[string]any{"identity": map[string]any{}},
			},
		}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(p.encryptionConfig(), config, 0o600)
}
