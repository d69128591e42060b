package certificates

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/trace"
)

// What a rotation has in the API: where everybody finds the authority, and pods that have read it.

// publishedEvery is the time between two looks at what is published.
const publishedEvery = 500 * time.Millisecond

// Where the authority is in the API.
const (
	// rootAuthority is in every namespace, from where pods have it mounted.
	// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-token-volume
	rootAuthority = "kube-root-ca.crt"
	// clusterInfo is where kubeadm join finds it.
	// https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/#create-the-public-cluster-info-configmap
	clusterInfo = "cluster-info"
	// extensionAuthentication is where the scheduler and aggregated API servers find whose clients they let in. API servers put there what they trust, and take nothing out before it expires.
	// https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/#extension-apiserver-authenticates-the-request
	extensionAuthentication = "extension-apiserver-authentication"
	clientCA                = "client-ca-file"
)

// publish puts what the first control plane trusts where it is not put by itself, and waits until everybody finds that, and nothing else, in the API.
func (r rotation) publish(ctx context.Context) error {
	now, err := r.read(ctx, r.first, pkiDir)
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextCancel(ctx, publishedEvery, true, func(ctx context.Context) (bool, error) {
		if err := errors.Join(r.put(ctx, now.cert), r.published(ctx, now.cert)); ctx.Err() == nil {
			last = err
		}
		return last == nil, nil
	})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && last != nil {
		return procedure.Failf("wait until the authority is published: %v", last)
	}
	return err
}

// put writes the ConfigMaps in which nobody else replaces it.
func (r rotation) put(ctx context.Context, trusted []byte) error {
	err := r.edit(ctx, metav1.NamespacePublic, clusterInfo, "kubeconfig", func(conf string) (string, error) {
		edited, err := trusting([]byte(conf), trusted)
		return string(edited), err
	})
	if err != nil && !apierrors.IsNotFound(err) { // nothing joins a cluster without it
		return err
	}
	return r.edit(ctx, metav1.NamespaceSystem, extensionAuthentication, clientCA, func(there string) (string, error) {
		if sameSet([]byte(there), trusted) {
			return there, nil
		}
		return string(trusted), nil
	})
}

// edit changes an entry of a ConfigMap, unless it is as it is to be.
func (r rotation) edit(ctx context.Context, namespace, name, key string, edit func(string) (string, error)) error {
	m, err := r.env.Kube.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	edited, err := edit(m.Data[key])
	if err != nil {
		return fmt.Errorf("read configmap/%s/%s: %w", namespace, name, err)
	}
	if edited == m.Data[key] {
		return nil
	}
	m.Data[key] = edited
	_, err = r.env.Kube.CoreV1().ConfigMaps(namespace).Update(ctx, m, metav1.UpdateOptions{})
	return err
}

// published is an error while anything in the API has other authorities.
// https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/#rotate-the-ca-certificates-manually
func (r rotation) published(ctx context.Context, want []byte) error {
	core := r.env.Kube.CoreV1()
	differs := func(what string, got []byte) error {
		if sameSet(got, want) {
			return nil
		}
		return fmt.Errorf("%s: expected the %d certificates of %s of %s, found %d", what, len(blocks(want)), path.Join(pkiDir, caCert), r.first, len(blocks(got)))
	}
	namespaces, err := core.Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, ns := range namespaces.Items {
		if ns.Status.Phase == corev1.NamespaceTerminating {
			continue
		}
		m, err := core.ConfigMaps(ns.Name).Get(ctx, rootAuthority, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := differs("configmap/"+ns.Name+"/"+rootAuthority, []byte(m.Data[caCert])); err != nil {
			return err
		}
	}
	tokens, err := core.Secrets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(corev1.SecretTypeServiceAccountToken)})
	if err != nil {
		return err
	}
	for _, token := range tokens.Items {
		if err := differs("secret/"+token.Namespace+"/"+token.Name, token.Data[caCert]); err != nil {
			return err
		}
	}
	m, err := core.ConfigMaps(metav1.NamespaceSystem).Get(ctx, extensionAuthentication, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return differs("configmap/"+metav1.NamespaceSystem+"/"+extensionAuthentication, []byte(m.Data[clientCA]))
}

// pods restarts what daemon sets, deployments and stateful sets run, as kubectl rollout restart does, and waits until they are complete again. Daemon sets come first: while a node's kube-proxy is away nobody
// tells the node which pods of a service come and go.
func (r rotation) pods(ctx context.Context) error {
	began := time.Now()
	patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, began.UTC().Format(time.RFC3339))
	for _, restart := range []func(context.Context, []byte) error{r.restartDaemons, r.restartOthers} {
		if err := restart(ctx, patch); err != nil {
			return err
		}
		if err := procedure.AwaitWorkloads(ctx, r.env, true); err != nil {
			return err
		}
	}
	list, err := r.env.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	return r.env.Record(trace.KindFact, "rotation/"+r.step, trace.PodsUnrestarted, trace.UnrestartedData{Pods: unrestarted(list.Items, began)})
}

func (r rotation) restartDaemons(ctx context.Context, patch []byte) error {
	apps := r.env.Kube.AppsV1()
	daemons, err := apps.DaemonSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range daemons.Items {
		_, err := apps.DaemonSets(d.Namespace).Patch(ctx, d.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r rotation) restartOthers(ctx context.Context, patch []byte) error {
	apps := r.env.Kube.AppsV1()
	deployments, err := apps.Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	sets, err := apps.StatefulSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range deployments.Items {
		_, err := apps.Deployments(d.Namespace).Patch(ctx, d.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		errs = append(errs, err)
	}
	for _, s := range sets.Items {
		_, err := apps.StatefulSets(s.Namespace).Patch(ctx, s.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// unrestarted are the pods that were not restarted since, and go on with the authorities that they have read: those that no such workload has made, or whose workload waits for somebody to delete them.
func unrestarted(pods []corev1.Pod, since time.Time) []string {
	found := []string{}
	for _, pod := range pods {
		_, static := pod.Annotations[corev1.MirrorPodAnnotationKey]
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		reads := slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
			return v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool {
				return s.ConfigMap != nil && s.ConfigMap.Name == rootAuthority
			})
		})
		if reads && !static && !ended && pod.DeletionTimestamp == nil && pod.CreationTimestamp.Time.Before(since.Truncate(time.Second)) {
			found = append(found, "pod/"+pod.Namespace+"/"+pod.Name)
		}
	}
	return found
}
