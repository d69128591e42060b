package kind

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"github.com/seatrial/seatrial/harness/cluster"
)

var _ cluster.Encryption = (*Cluster)(nil)

// A node's API server has its encryption configuration from a folder of this machine, which goes with the cluster: no command that is recorded has a key in it.
const (
	encryptionDir  = "/etc/kubernetes/encryption"
	encryptionFile = "config.yaml"
	encryptionFlag = "encryption-provider-config"
)

// encryptionPatch has kubeadm give API servers the flag, and the folder.
const encryptionPatch = `kind: ClusterConfiguration
apiServer:
  extraArgs: {` + encryptionFlag + `: ` + encryptionDir + "/" + encryptionFile + `}
  extraVolumes:
  - {name: encryption, hostPath: ` + encryptionDir + `, mountPath: ` + encryptionDir + `, readOnly: true, pathType: Directory}
`

// keys is the folder of the encryption configurations, in a folder for each node.
func (l *claim) keys() string { return strings.TrimSuffix(l.path, ".json") + ".keys" }

// encryptSecrets gives every API server of kind's configuration, whose nodes are in the order of the machines, the same key.
func (c *Cluster) encryptSecrets(config *v1alpha4.Cluster) error {
	if minorOf(c.image.Version) >= minorOfV1beta4 {
		return fmt.Errorf("encrypt Secrets of Kubernetes %s on kind: not known yet how kubeadm's arguments are told from v1.%d on", c.image.Version, minorOfV1beta4)
	}
	config.KubeadmConfigPatches = append(config.KubeadmConfigPatches, encryptionPatch)
	key := cluster.NewEncryptionKey()
	for i, m := range c.controlPlanes() {
		if err := os.MkdirAll(filepath.Join(c.claimed.keys(), m.node), 0o700); err != nil {
			return err
		}
		if err := c.writeEncryptionConfig(m, key); err != nil {
			return err
		}
		config.Nodes[i].ExtraMounts = append(config.Nodes[i].ExtraMounts, v1alpha4.Mount{HostPath: filepath.Join(c.claimed.keys(), m.node), ContainerPath: encryptionDir})
	}
	return nil
}

// SetEncryptionKey implements [cluster.Encryption].
func (c *Cluster) SetEncryptionKey(_ context.Context, node string, key []byte) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	if !c.spec.EncryptSecrets || m.role != cluster.ControlPlane {
		return fmt.Errorf("set the encryption key of %q: it has no API server that encrypts", node)
	}
	return c.writeEncryptionConfig(m, key)
}

func (c *Cluster) writeEncryptionConfig(m machine, key []byte) error {
	config, err := cluster.EncryptionConfig(key)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.claimed.keys(), m.node, encryptionFile), config, 0o600)
}
