package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

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
	key := cluster.NewEncryptionKey()
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

func (p *controlPlane) writeEncryptionConfig(key []byte) error {
	config, err := cluster.EncryptionConfig(key)
	if err != nil {
		return err
	}
	return os.WriteFile(p.encryptionConfig(), config, 0o600)
}
