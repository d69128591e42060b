package world

import (
	"fmt"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seatrial/seatrial/harness/trace"
)

// The labels by which kubeadm marks the pods of its components: those of the control plane, and kube-proxy's.
// https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/
const (
	tierLabel      = "tier"
	tierOfPlane    = "control-plane"
	componentLabel = "component"
	addonLabel     = "k8s-app"
	kubeProxy      = "kube-proxy"
)

// componentOf is the name of the component that a pod runs, or "".
func componentOf(pod *Pod) string {
	switch {
	case pod.Namespace != metav1.NamespaceSystem || pod.Node == "":
	case pod.Mirror && pod.Labels[tierLabel] == tierOfPlane:
		return pod.Labels[componentLabel]
	case pod.Labels[addonLabel] == kubeProxy:
		return kubeProxy
	}
	return ""
}

// podInComponents keeps the component that a pod runs. While a pod is replaced the component is there, and not ready; a pod that goes after the next one
// came changes nothing.
func (f *Fold) podInComponents(o *podObject, pod *Pod, gone bool) {
	name := componentOf(pod)
	if name == "" || len(o.Spec.Containers) == 0 {
		return
	}
	c := &Component{Node: pod.Node, Name: name, Version: tag(o.Spec.Containers[0].Image), Ready: pod.Healthy() && !gone, Ends: []string{}}
	key := c.Subject()
	old := f.World.Components[key]
	if old != nil {
		c.Restarts, c.Ends, c.Error = old.Restarts, old.Ends, old.Error
		if (gone || pod.Deleting) && old.Version != c.Version {
			return
		}
		if old.Version == c.Version && old.Ready == c.Ready {
			return
		}
	}
	f.World.Components[key] = c
	f.touch("components", key)
}

// tag is what follows the colon in an image's name. A port of the registry has a slash after it.
func tag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndex(image, ":"); i >= 0 && !strings.Contains(image[i:], "/") {
		return image[i+1:]
	}
	return ""
}

// restarted counts an unasked end.
func (f *Fold) restarted(e trace.Event, key string, _ bool) error {
	var d trace.RestartData
	if err := jsonv2.Unmarshal(e.Data, &d); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	c := &Component{Ends: []string{}}
	if old := f.World.Components[key]; old != nil {
		*c = *old
	} else if parts := strings.Split(key, "/"); len(parts) == 3 {
		c.Node, c.Name = parts[1], parts[2]
	}
	c.Restarts, c.Error = c.Restarts+1, d.Error
	if len(c.Ends) < MaxListed {
		c.Ends = append(slices.Clone(c.Ends), d.Time.UTC().Format(time.RFC3339Nano))
	}
	f.World.Components[key] = c
	f.touch("components", key)
	return nil
}
