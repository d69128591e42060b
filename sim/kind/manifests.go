package kind

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/cluster"
)

// The capability Manifests.

// manifestsFolder is where kubeadm has the kubelet look for static pods.
const manifestsFolder = "/etc/kubernetes/manifests"

// Manifests lists what the kubelet takes from the node's folder.
func (c *Cluster) Manifests(ctx context.Context, node string) ([]cluster.Manifest, error) {
	m, err := c.machine(node)
	if err != nil {
		return nil, err
	}
	files, err := c.read(ctx, m, manifestsFolder, ".")
	if err != nil {
		return nil, fmt.Errorf("list the manifests of node %q: %w", node, err)
	}
	return manifestsIn(files), nil
}

// manifestsIn lists what a kubelet takes from a folder: every file, whatever it is called, but those whose name begins with a dot; no folder below.
func manifestsIn(files map[string][]byte) []cluster.Manifest {
	var manifests []cluster.Manifest
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.Contains(name, "/") && !strings.HasPrefix(name, ".") {
			manifests = append(manifests, cluster.Manifest{File: name, Pod: podOf(files[name])})
		}
	}
	return manifests
}

// podOf is the namespace and name of the pod in a manifest, or "".
func podOf(manifest []byte) string {
	var pod corev1.Pod
	if err := yaml.Unmarshal(manifest, &pod); err != nil || pod.Kind != "Pod" {
		return ""
	}
	if pod.Namespace == "" {
		pod.Namespace = metav1.NamespaceDefault
	}
	return pod.Namespace + "/" + pod.Name
}

// CopyManifest is cp in the node's folder.
func (c *Cluster) CopyManifest(ctx context.Context, node, component string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	file := path.Join(manifestsFolder, component+".yaml")
	_, err = c.run(ctx, m, nil, "cp", file, file+".bak")
	return err
}
