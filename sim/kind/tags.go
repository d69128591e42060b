package kind

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/yaml"
)

// Tags are tags of images in place of those that a kubeadm asks for; "" when they are the same.
type Tags struct{ Etcd, CoreDNS string }

// patch tells kubeadm of tags that are not what it asks for.
func (t Tags) patch() string {
	patch := "kind: ClusterConfiguration\n"
	if t.Etcd != "" {
		patch += "etcd: {local: {imageTag: " + t.Etcd + "}}\n"
	}
	if t.CoreDNS != "" {
		patch += "dns: {imageTag: " + t.CoreDNS + "}\n"
	}
	if t == (Tags{}) {
		return ""
	}
	return patch
}

// retag tells kubeadm, in its configuration in the cluster, which images of etcd and CoreDNS there are when they are not those that it would choose, and nothing when they are.
// https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/
func (c *Cluster) retag(ctx context.Context, tags Tags) error {
	maps := c.client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		stored, err := maps.Get(ctx, "kubeadm-config", metav1.GetOptions{})
		if err != nil {
			return err
		}
		changed, err := retagged(stored, tags)
		if err != nil || !changed {
			return err
		}
		_, err = maps.Update(ctx, stored, metav1.UpdateOptions{})
		return err
	})
}

// retagged changes the tags in kubeadm's configuration, and says whether they were others.
func retagged(stored *corev1.ConfigMap, tags Tags) (changed bool, err error) {
	const key = "ClusterConfiguration"
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(stored.Data[key]), &config); err != nil {
		return false, fmt.Errorf("read kubeadm's configuration: %w", err)
	}
	set := func(tag string, path ...string) {
		at := config
		for _, name := range path {
			below, ok := at[name].(map[string]any)
			if !ok {
				below = map[string]any{}
				at[name] = below
			}
			at = below
		}
		if has, _ := at["imageTag"].(string); has == tag {
			return
		}
		changed = true
		at["imageTag"] = tag
		if tag == "" {
			delete(at, "imageTag")
		}
	}
	set(tags.Etcd, "etcd", "local")
	set(tags.CoreDNS, "dns")
	if !changed {
		return false, nil
	}
	text, err := yaml.Marshal(config)
	stored.Data[key] = string(text)
	return true, err
}
