package embedded

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/version"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/seatrial/seatrial/sim/ready"
)

//go:embed addons.yaml
var addons string

// coreDNS is the version of CoreDNS that kubeadm installs with each minor version of Kubernetes. v1.34 is read off its source; the
// others were not checked against theirs. It is the tag of a hollow pod's image and nothing more.
var coreDNS = map[string]string{
	"v1.31": "v1.11.3",
	"v1.32": "v1.11.3",
	"v1.33": "v1.12.0",
	"v1.34": "v1.12.1",
	"v1.35": "v1.13.1",
}

// newestCoreDNS is for versions of Kubernetes that coreDNS doesn't name.
const newestCoreDNS = "v1.13.1"

// install creates what kubeadm installs in a new cluster. Like kubeadm it tries again what is refused: an API server that is ready
// can still refuse a Service its address, or not know kube-system yet, when others start beside it.
func (c *Cluster) install(ctx context.Context) error {
	objects, err := addonObjects(c.Version())
	if err != nil {
		return err
	}
	for _, object := range objects {
		err := ready.Poll(ctx, fmt.Sprintf("addon %T %q is created", object, object.GetName()), func(ctx context.Context) error {
			return c.createObject(ctx, object)
		})
		if err != nil {
			return err
		}
	}
	c.say("kube-proxy and CoreDNS are installed")
	return nil
}

// addonObjects are the addons of a version of Kubernetes.
func addonObjects(kubernetes string) ([]metav1.Object, error) {
	dns, ok := coreDNS[minor(kubernetes)]
	if !ok {
		dns = newestCoreDNS
	}
	text := strings.NewReplacer("KUBE_VERSION", kubernetes, "COREDNS_VERSION", dns, "DNS_IP", dnsServiceIP).Replace(addons)
	var objects []metav1.Object
	for document := range strings.SplitSeq(text, "\n---\n") {
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode([]byte(document), nil, nil)
		if err != nil {
			return nil, fmt.Errorf("read addons.yaml: %w", err)
		}
		objects = append(objects, object.(metav1.Object)) // as all of them are
	}
	return objects, nil
}

// minor is "v1.34" for "v1.34.4".
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// createObject creates an object. One that is there was created by a call whose answer got lost.
func (c *Cluster) createObject(ctx context.Context, object metav1.Object) error {
	var err error
	switch o := object.(type) {
	case *corev1.ServiceAccount:
		_, err = c.client.CoreV1().ServiceAccounts(o.Namespace).Create(ctx, o, metav1.CreateOptions{})
	case *corev1.Service:
		_, err = c.client.CoreV1().Services(o.Namespace).Create(ctx, o, metav1.CreateOptions{})
	case *appsv1.Deployment:
		_, err = c.client.AppsV1().Deployments(o.Namespace).Create(ctx, o, metav1.CreateOptions{})
	case *appsv1.DaemonSet:
		_, err = c.client.AppsV1().DaemonSets(o.Namespace).Create(ctx, o, metav1.CreateOptions{})
	case *rbacv1.ClusterRole:
		_, err = c.client.RbacV1().ClusterRoles().Create(ctx, o, metav1.CreateOptions{})
	case *rbacv1.ClusterRoleBinding:
		_, err = c.client.RbacV1().ClusterRoleBindings().Create(ctx, o, metav1.CreateOptions{})
	default:
		err = fmt.Errorf("create a %T: no client for it", object)
	}
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// What kubeadm gives control plane nodes. The role's own label is every hollow control plane's.
var (
	controlPlaneLabels = map[string]string{corev1.LabelNodeExcludeBalancers: ""}
	controlPlaneTaints = []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}
)

// staticPods are the manifests of the node as kubeadm writes them, of the versions that really run, and without
// what only a container runtime would read. Their hollow pods show the real processes in the API.
func (p *controlPlane) staticPods() []corev1.Pod {
	var pods []corev1.Pod
	for _, name := range bootOrder {
		pods = append(pods, staticPodOf(name, p.components[name].from().Version))
	}
	return pods
}

// staticRequests are what the components ask for.
var staticRequests = map[string]corev1.ResourceList{
	etcd:              {corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("100Mi")},
	apiServer:         {corev1.ResourceCPU: resource.MustParse("250m")},
	controllerManager: {corev1.ResourceCPU: resource.MustParse("200m")},
	scheduler:         {corev1.ResourceCPU: resource.MustParse("100m")},
}

// staticPodOf is the manifest of one component.
func staticPodOf(name, kubernetes string) corev1.Pod {
	tag := kubernetes
	if name == etcd {
		tag = version.Version + "-0"
	}
	priority := int32(2000001000) // of the class system-node-critical, which no admission fills in for a mirror pod
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:      name,
			Namespace: metav1.NamespaceSystem,
			Labels:    map[string]string{"component": name, "tier": "control-plane"},
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name:            name,
				Image:           "registry.k8s.io/" + name + ":" + tag,
				ImagePullPolicy: corev1.PullIfNotPresent,
				Command:         []string{name},
				Resources:       corev1.ResourceRequirements{Requests: staticRequests[name].DeepCopy()},
			}},
			HostNetwork:       true,
			Priority:          &priority,
			PriorityClassName: "system-node-critical",
			SecurityContext: &corev1.PodSecurityContext{
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
		},
	}
}
