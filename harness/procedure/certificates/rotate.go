package certificates

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// Rotate is the step rotateCA: the authority that signs for the API and its clients is replaced.
//
// https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/
type Rotate struct{}

// The actions of its ops.
const (
	actionMake    = "make"
	actionTrust   = "trust"   // both
	actionReissue = "reissue" // with the new one
	actionSwap    = "swap"    // to the new one, without a time in which both are trusted
	actionForget  = "forget"  // the old one
	actionPublish = "publish"
	actionPods    = "pods"
)

// Where things are on a control plane node. Keys are in the folders only while the step lasts.
const (
	pkiDir     = "/etc/kubernetes/pki"
	nextDir    = pkiDir + "/next"    // the new authority
	signingDir = pkiDir + "/signing" // the one that the controller manager signs with: its file may have one certificate only
	caCert     = "ca.crt"
	caKey      = "ca.key"
)

// signedByCA are the certificates that the authority has signed, by kubeadm's names.
var signedByCA = []string{"apiserver", "apiserver-kubelet-client", "admin.conf", "controller-manager.conf", "scheduler.conf"}

// superAdmin is one more, on the node that kubeadm init made.
const superAdmin = "super-admin.conf"

// Kind implements procedure.Procedure.
func (Rotate) Kind() string { return "rotateCA" }

// Needs implements procedure.Procedure.
func (Rotate) Needs() []cluster.Capability {
	return []cluster.Capability{cluster.CapCertificates, cluster.CapAuthority, cluster.CapEtcd}
}

// Plan implements procedure.Procedure.
func (Rotate) Plan(step scenario.Step, s plan.Setting) *plan.Op {
	spec := step.RotateCA
	root := &plan.Op{ID: step.ID, Title: "replace the authority of the API and its clients", Procedure: "rotateCA", Action: "all", Options: spec}
	op := func(id, action, node, format string, args ...any) {
		root.Ops = append(root.Ops, &plan.Op{
			ID: step.ID + "/" + id, Title: fmt.Sprintf(format, args...), Procedure: "rotateCA", Action: action, Node: node, Timeout: plan.Seconds(spec.Timeout.Duration),
		})
	}
	controlPlanes, nodes := s.ControlPlanes(), s.Names()
	op("make", actionMake, controlPlanes[0], "make a new authority on %s, and give it to every control plane", controlPlanes[0])
	if !*spec.Bundle {
		for _, node := range controlPlanes {
			op(node+"/swap", actionSwap, node, "replace the authority on %s, issue its certificates anew, and restart its control plane", node)
		}
		op("look", actionLook, "", "look at every certificate")
		return root
	}
	for _, node := range nodes {
		op(node+"/trust", actionTrust, node, "have %s trust the new authority too, and restart what read only the old", node)
	}
	op("publish", actionPublish, "", "wait until the new authority is published beside the old")
	op("pods", actionPods, "", "restart the pods of every workload, which read both then")
	for _, node := range controlPlanes {
		op(node+"/reissue", actionReissue, node, "issue the certificates of %s anew with the new authority, and restart its control plane", node)
	}
	for _, node := range nodes {
		op(node+"/kubelet", actionKubelet, node, "give the kubelet of %s a certificate of the new authority", node)
	}
	for _, node := range nodes {
		op(node+"/forget", actionForget, node, "have %s trust the new authority only", node)
	}
	op("published", actionPublish, "", "wait until only the new authority is published")
	op("pods-again", actionPods, "", "restart the pods of every workload once more, which have read both")
	op("look", actionLook, "", "look at every certificate")
	return root
}

// Do implements procedure.Procedure.
func (Rotate) Do(ctx context.Context, env *procedure.Env, step scenario.Step, op *plan.Op) error {
	operator, ok := env.Cluster.(cluster.AuthorityOperator)
	if !ok {
		return fmt.Errorf("cluster lacks the capability %q, which its provider promised", cluster.CapAuthority)
	}
	r := rotation{
		operator: operator, first: env.Etcd.Nodes()[0],
		renewal: renewal{env: env, operator: operator, spec: &scenario.RenewCertificates{Names: signedByCA}},
	}
	switch op.Action {
	case actionMake:
		return r.make(ctx, op.Node)
	case actionTrust:
		return r.trust(ctx, op.Node)
	case actionPublish:
		return r.publish(ctx)
	case actionPods:
		return r.pods(ctx)
	case actionReissue, actionSwap:
		return r.reissue(ctx, op.Node, op.Action == actionReissue)
	case actionKubelet:
		return r.renewKubelet(ctx, op.Node)
	case actionForget:
		return r.forget(ctx, op.Node)
	case actionLook:
		return Look(ctx, env, step.ID)
	}
	return fmt.Errorf("op %q has the unknown action %q", op.ID, op.Action)
}

// rotation is the step under way. All that it knows is on the nodes, so that it goes on where it was ended.
type rotation struct {
	renewal
	operator cluster.AuthorityOperator
	first    string // the control plane that has the new authority first
}

// authority is a pair in a folder of a node.
type authority struct{ cert, key []byte }

// make makes the new authority, and gives it to the other control planes.
func (r rotation) make(ctx context.Context, node string) error {
	before, err := r.read(ctx, node, pkiDir)
	if err != nil {
		return err
	}
	if len(before.key) == 0 {
		return procedure.Failf("node/%s has no %s/%s: the authority is external, and whoever has its key replaces it", node, pkiDir, caKey)
	}
	if err := r.operator.MakeAuthority(ctx, node, nextDir); err != nil {
		return err
	}
	next, err := r.read(ctx, node, nextDir)
	if err != nil {
		return err
	}
	if same(next.cert, before.cert) || len(next.key) == 0 {
		return fmt.Errorf("node/%s was to have a new authority in %s, and has none", node, nextDir)
	}
	for _, other := range r.nodes() {
		if other != node {
			if err := r.write(ctx, other, nextDir, next); err != nil {
				return err
			}
		}
	}
	replaced, by := serialOf(before.cert), serialOf(next.cert)
	fmt.Fprintf(r.env.Log, "authority %s is to be replaced by %s\n", replaced, by)
	return r.env.Record(trace.KindFact, "authority/ca/"+replaced, trace.AuthorityReplaced, trace.AuthorityReplacedData{Time: time.Now().UTC(), Old: replaced, New: by})
}

// trust has a node trust both, the old one first: what signs is the first of a file.
func (r rotation) trust(ctx context.Context, node string) error {
	next, err := r.read(ctx, r.first, nextDir)
	if err != nil {
		return err
	}
	now, err := r.read(ctx, node, pkiDir)
	if err != nil {
		return err
	}
	old := authority{cert: firstOf(now.cert), key: now.key}
	return r.restartWith(ctx, node, bundle(old.cert, next.cert), &old)
}

// restartWith writes what a node trusts, has its controller manager sign with an authority, nil for the one in the usual place, and restarts what reads it.
func (r rotation) restartWith(ctx context.Context, node string, trusted []byte, signs *authority) error {
	if err := r.writeTrust(ctx, node, trusted); err != nil {
		return err
	}
	if r.controlPlane(node) {
		if err := r.sign(ctx, node, signs); err != nil {
			return err
		}
		if node == r.first {
			if err := r.operator.Follow(ctx); err != nil {
				return err
			}
		}
		if err := r.restart(ctx, []string{node}); err != nil {
			return err
		}
	}
	return r.kubelet(ctx, node)
}

// sign has the controller manager sign with an authority from its next start on.
func (r rotation) sign(ctx context.Context, node string, with *authority) error {
	if with == nil {
		return r.operator.SignWith(ctx, node, pkiDir)
	}
	if err := r.write(ctx, node, signingDir, *with); err != nil {
		return err
	}
	return r.operator.SignWith(ctx, node, signingDir)
}

// reissue makes the new authority the one that signs on a control plane, issues its certificates anew, and restarts it. With the old one trusted still, whoever has a certificate of that is let in.
func (r rotation) reissue(ctx context.Context, node string, both bool) error {
	next, err := r.read(ctx, node, nextDir)
	if err != nil {
		return err
	}
	now, err := r.read(ctx, node, pkiDir)
	if err != nil {
		return err
	}
	trusted := next.cert
	switch {
	case both && same(now.cert, next.cert):
		trusted = now.cert // it was done before
	case both:
		trusted = bundle(next.cert, firstOf(now.cert))
	}
	if err := r.write(ctx, node, pkiDir, authority{cert: trusted, key: next.key}); err != nil {
		return err
	}
	if both {
		if err := r.sign(ctx, node, &next); err != nil {
			return err
		}
	}
	if err := r.renew(ctx, node); err != nil {
		return err
	}
	if node == r.first {
		if err := r.operator.RenewCertificates(ctx, node, []string{superAdmin}); err != nil {
			return err
		}
	}
	if err := r.writeConfs(ctx, node, trusted, adminConfs); err != nil { // a renewal leaves only the first of several there
		return err
	}
	if node == r.first {
		if err := r.operator.Follow(ctx); err != nil {
			return err
		}
	}
	if err := r.restart(ctx, []string{node}); err != nil || both {
		return err
	}
	return r.operator.RemoveCertificateDirs(ctx, node, nextDir)
}

// renewKubelet gives a node's kubelet a certificate of the new authority, and waits until the node says that it is Ready with that.
func (r rotation) renewKubelet(ctx context.Context, node string) error {
	began := time.Now()
	if err := r.operator.RenewKubelet(ctx, node); err != nil {
		return procedure.Failf("%v", err)
	}
	return r.awaitKubelet(ctx, node, began)
}

// forget has a node trust the new authority only, and removes what the step kept there.
func (r rotation) forget(ctx context.Context, node string) error {
	now, err := r.read(ctx, r.first, pkiDir)
	if err != nil {
		return err
	}
	if err := r.restartWith(ctx, node, firstOf(now.cert), nil); err != nil {
		return err
	}
	if !r.controlPlane(node) {
		return nil
	}
	return r.operator.RemoveCertificateDirs(ctx, node, nextDir, signingDir)
}

func (r rotation) controlPlane(node string) bool { return slices.Contains(r.nodes(), node) }

// read reads the authority in a folder of a node.
func (r rotation) read(ctx context.Context, node, dir string) (authority, error) {
	files, err := r.operator.CertificateFiles(ctx, node)
	if err != nil {
		return authority{}, err
	}
	var a authority
	for _, f := range files {
		switch f.Path {
		case path.Join(dir, caCert):
			a.cert = f.Content
		case path.Join(dir, caKey):
			a.key = f.Content
		}
	}
	if serialOf(a.cert) == "" {
		return a, fmt.Errorf("node/%s has no certificate in %s", node, path.Join(dir, caCert))
	}
	return a, nil
}

func (r rotation) write(ctx context.Context, node, dir string, a authority) error {
	return r.operator.WriteCertificateFiles(ctx, node, []cluster.CertificateFile{
		{Path: path.Join(dir, caCert), Mode: 0o644, Content: a.cert}, {Path: path.Join(dir, caKey), Mode: 0o600, Content: a.key},
	})
}

// adminConfs are the kubeconfigs that kubeadm makes for control planes, and kubeletConf the one that every node has.
var adminConfs = []string{"admin.conf", superAdmin, "controller-manager.conf", "scheduler.conf"}

const kubeletConf = "kubelet.conf"

// writeTrust writes what a node trusts: the authority's file, and its kubeconfigs.
func (r rotation) writeTrust(ctx context.Context, node string, trusted []byte) error {
	err := r.operator.WriteCertificateFiles(ctx, node, []cluster.CertificateFile{{Path: path.Join(pkiDir, caCert), Mode: 0o644, Content: trusted}})
	if err != nil {
		return err
	}
	return r.writeConfs(ctx, node, trusted, append(slices.Clone(adminConfs), kubeletConf))
}

// writeConfs writes whom a node's kubeconfigs of these names trust, those that are there.
func (r rotation) writeConfs(ctx context.Context, node string, trusted []byte, names []string) error {
	files, err := r.operator.CertificateFiles(ctx, node)
	if err != nil {
		return err
	}
	var changed []cluster.CertificateFile
	for _, f := range files {
		if path.Dir(f.Path) != path.Dir(pkiDir) || !slices.Contains(names, path.Base(f.Path)) {
			continue
		}
		if f.Content, err = trusting(f.Content, trusted); err != nil {
			return fmt.Errorf("node/%s: read %s: %w", node, f.Path, err)
		}
		changed = append(changed, f)
	}
	if len(changed) == 0 {
		return fmt.Errorf("node/%s has none of %s", node, strings.Join(names, ", "))
	}
	return r.operator.WriteCertificateFiles(ctx, node, changed)
}

// trusting is a kubeconfig with other authorities.
func trusting(conf, trusted []byte) ([]byte, error) {
	config, err := clientcmd.Load(conf)
	if err != nil {
		return nil, err
	}
	for _, c := range config.Clusters {
		c.CertificateAuthorityData = trusted
	}
	return clientcmd.Write(*config)
}

// bundle puts certificates one after the other.
func bundle(certificates ...[]byte) []byte {
	var all []byte
	for _, c := range certificates {
		all = append(append(all, bytes.TrimSpace(c)...), '\n')
	}
	return all
}

// firstOf is the first certificate of a file, the one that signs.
func firstOf(file []byte) []byte {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil
	}
	return pem.EncodeToMemory(block)
}

// same tells whether two files have the same certificate first.
func same(a, b []byte) bool { return bytes.Equal(firstOf(a), firstOf(b)) }

// serialOf is the serial number of the first certificate of a file, as the recording has it, or "".
func serialOf(file []byte) string {
	block, _ := pem.Decode(file)
	if block == nil {
		return ""
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return certs.Serial(c)
}

// publishedEvery is the time between two looks at what is published.
const publishedEvery = 500 * time.Millisecond

// Where the authority is in the API, besides each namespace's kube-root-ca.crt.
const (
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
		m, err := core.ConfigMaps(ns.Name).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := differs("configmap/"+ns.Name+"/kube-root-ca.crt", []byte(m.Data[caCert])); err != nil {
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

// blocks are the certificates of a file, each in DER.
func blocks(file []byte) [][]byte {
	var all [][]byte
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		all = append(all, block.Bytes)
	}
	return all
}

// sameSet tells whether two files have the same certificates, in whatever order.
func sameSet(a, b []byte) bool {
	of := func(file []byte) []string {
		var all []string
		for _, der := range blocks(file) {
			all = append(all, string(der))
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	return slices.Equal(of(a), of(b))
}

// pods restarts what deployments, stateful sets and daemon sets run, as kubectl rollout restart does, and waits until they are complete again.
func (r rotation) pods(ctx context.Context) error {
	began := time.Now()
	patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, began.UTC().Format(time.RFC3339))
	apps := r.env.Kube.AppsV1()
	deployments, err := apps.Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	sets, err := apps.StatefulSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	daemons, err := apps.DaemonSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
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
	for _, d := range daemons.Items {
		_, err := apps.DaemonSets(d.Namespace).Patch(ctx, d.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := procedure.AwaitWorkloads(ctx, r.env, true); err != nil {
		return err
	}
	return r.sayOlder(ctx, began)
}

// sayOlder says which pods were not restarted, and go on with what they have read: those that no such workload has made, or whose workload waits for somebody to delete them.
func (r rotation) sayOlder(ctx context.Context, began time.Time) error {
	list, err := r.env.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, pod := range list.Items {
		_, static := pod.Annotations[corev1.MirrorPodAnnotationKey]
		if ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed; !static && !ended && pod.CreationTimestamp.Time.Before(began.Truncate(time.Second)) {
			fmt.Fprintf(r.env.Log, "pod/%s/%s was not restarted, and goes on with the authorities that it has read\n", pod.Namespace, pod.Name)
		}
	}
	return nil
}

// awaitKubelet waits until a node says that it is Ready, later than then.
func (r renewal) awaitKubelet(ctx context.Context, node string, since time.Time) error {
	if err := r.env.Objects.AwaitRenewed(ctx, node, since); err != nil {
		return procedure.FromWait(err)
	}
	return procedure.FromWait(r.env.Objects.AwaitCondition(ctx, objects.Ref{Kind: "node", Name: node}, "Ready", "True"))
}
