package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"

	"sigs.k8s.io/yaml"
)

// Encryption is a cluster whose API servers encrypt Secrets, made with Spec.EncryptSecrets.
//
// https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
type Encryption interface {
	// SetEncryptionKey gives the API server of a control plane node a key of [NewEncryptionKey] in place of the one that it has, for when it starts the next time.
	SetEncryptionKey(ctx context.Context, node string, key []byte) error
}

// NewEncryptionKey makes a key for secretbox: 32 bytes.
func NewEncryptionKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // which never fails
	return key
}

// EncryptionConfig is the file that API servers encrypt Secrets by, with one key. What is not encrypted is read too, as it is where encryption was introduced.
func EncryptionConfig(key []byte) ([]byte, error) {
	return yaml.Marshal(map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
		"resources": []any{map[string]any{
			"resources": []string{"secrets"},
			"providers": []any{
				map[string]any{"secretbox": map[string]any{"keys": []any{map[string]any{"name": "key1", "secret": base64.StdEncoding.EncodeToString(key)}}}},
				map[string]any{"identity": map[string]any{}},
			},
		}},
	})
}
