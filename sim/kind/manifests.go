package kind

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
)

// The capability Manifests.

// manifestsFolder is where kubeadm has the kubelet look for static pods.
const manifestsFolder = "/etc/kubernetes/manifests"

// Manifests reads the files of the node's folder. What is in them stays here: they may hold secrets.
func (c *Cluster) Manifests(ctx context.Context, node string) ([]cluster.Manifest, error) {
	m, err := c.machine(node)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	if err := c.engine.Do(ctx, engine.Command{Args: []string{"exec", m.container, "tar", "-C", manifestsFolder, "-cf", "-", "."}, Stdout: &archive}); err != nil {
		return nil, fmt.Errorf("list the manifests of node %q: %w", node, err)
	}
	files, err := manifestsIn(&archive)
	if err != nil {
		return nil, fmt.Errorf("list the manifests of node %q: %w", node, err)
	}
	return files, nil
}

// manifestsIn lists what a kubelet takes from a folder: every file, whatever it is called, but those whose name begins with a dot; no folder below.
func manifestsIn(archive io.Reader) ([]cluster.Manifest, error) {
	var files []cluster.Manifest
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			slices.SortFunc(files, func(a, b cluster.Manifest) int { return strings.Compare(a.File, b.File) })
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		name := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || strings.Contains(name, "/") || strings.HasPrefix(name, ".") {
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		files = append(files, cluster.Manifest{File: name, Pod: podOf(text)})
	}
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
