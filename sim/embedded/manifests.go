package embedded

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seatrial/seatrial/harness/cluster"
)

// The capability Manifests. A hollow kubelet has no folder: the components' files are said to be there under the names that kubeadm gives them, and copies
// are remembered. A copy is not run.

// Manifests lists what would lie in the node's folder.
func (c *Cluster) Manifests(_ context.Context, node string) ([]cluster.Manifest, error) {
	p := c.plane(node)
	if p == nil {
		return nil, fmt.Errorf("list the manifests of %q: it is no control plane", node)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var files []cluster.Manifest
	for _, name := range slices.Sorted(slices.Values(bootOrder)) {
		pod := metav1.NamespaceSystem + "/" + name
		files = append(files, cluster.Manifest{File: name + ".yaml", Pod: pod})
		if slices.Contains(p.copied, name) {
			files = append(files, cluster.Manifest{File: name + ".yaml.bak", Pod: pod})
		}
	}
	return files, nil
}

// CopyManifest remembers a copy.
func (c *Cluster) CopyManifest(_ context.Context, node, component string) error {
	p := c.plane(node)
	if p == nil || !slices.Contains(bootOrder, component) {
		return fmt.Errorf("copy the manifest of %s of %q: it does not run there", component, node)
	}
	c.mu.Lock()
	p.copied = append(p.copied, component)
	c.mu.Unlock()
	return c.save()
}
