package certificates

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
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
		step: step.ID, operator: operator, first: env.Etcd.Nodes()[0],
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
	step     string // its id
	operator cluster.AuthorityOperator
	first    string // the control plane that has the new authority first
}

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
