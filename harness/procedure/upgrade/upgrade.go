package upgrade

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// staged is how many nodes are given a version's programs at a time.
const staged = 4

// Do implements procedure.Procedure.
func (Node) Do(ctx context.Context, env *procedure.Env, step scenario.Step, op *plan.Op) error {
	return Cluster{}.Do(ctx, env, step, op)
}

// Do implements procedure.Procedure.
func (Cluster) Do(ctx context.Context, env *procedure.Env, _ scenario.Step, op *plan.Op) error {
	upgrader, ok := env.Cluster.(cluster.Upgrader)
	if !ok {
		return fmt.Errorf("cluster lacks the capability %q, which its provider promised", cluster.CapUpgrade)
	}
	w := work{env: env, upgrader: upgrader, op: op}
	switch op.Action {
	case ActionCheck:
		return w.check(ctx)
	case ActionWhole:
		return w.whole(ctx)
	case ActionStage:
		return w.stage(ctx)
	case ActionHandOn:
		return procedure.HandOn(ctx, env, op.Node)
	case ActionApply:
		return w.apply(ctx)
	case ActionConfig:
		return w.config(ctx)
	case ActionKubelet:
		return w.kubelet(ctx)
	case ActionLeaders:
		return procedure.AwaitLeaders(ctx, env, time.Now())
	case ActionSettled:
		return procedure.AwaitWorkloads(ctx, env, true)
	case ActionRecover:
		return w.recover(ctx)
	case ActionComplete:
		return w.finish(ctx)
	}
	return fmt.Errorf("op %q has the unknown action %q", op.ID, op.Action)
}

// work is one op under way.
type work struct {
	env      *procedure.Env
	upgrader cluster.Upgrader
	op       *plan.Op
}

// refused makes what a node did not take an outcome of the rehearsal.
func refused(err error) error {
	var failed *cluster.UpgradeError
	if !errors.As(err, &failed) {
		return err
	}
	subject := "node/" + failed.Node
	if failed.Component != "" {
		subject = "component/" + failed.Node + "/" + failed.Component
	}
	return &procedure.Failure{Message: failed.Error(), Blockers: []trace.Blocker{{Subject: subject, Reason: failed.Err.Error()}}}
}

// check looks whether the cluster is whole and kubeadm would upgrade it.
func (w work) check(ctx context.Context) error {
	if err := w.whole(ctx); err != nil {
		return err
	}
	exact, err := w.kubeadm(ctx)
	if err != nil {
		return err
	}
	if err := w.forward(ctx, exact); err != nil {
		return err
	}
	return refused(w.upgrader.CheckUpgrade(ctx, w.op.Node, w.op.Version))
}

// forward looks whether the exact version is newer than what there is: a plan knows v1.34, and not its patch. kubeadm takes an older patch.
// https://kubernetes.io/releases/version-skew-policy/
func (w work) forward(ctx context.Context, exact string) error {
	now := map[string]string{}
	for _, server := range w.env.Cluster.APIServers() {
		client, err := kubernetes.NewForConfig(server.Config)
		if err != nil {
			return fmt.Errorf("make client for api/%s: %w", server.Node, err)
		}
		if now["api/"+server.Node], err = cluster.ServerVersion(ctx, client.Discovery().RESTClient()); err != nil {
			return fmt.Errorf("ask api/%s for its version: %w", server.Node, err)
		}
	}
	nodes, err := w.env.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the nodes: %w", err)
	}
	for _, n := range nodes.Items {
		now["node/"+n.Name] = n.Status.NodeInfo.KubeletVersion
	}
	return newer(now, exact)
}

// newer looks whether no subject is newer than the exact version, and at least one is older.
func newer(now map[string]string, exact string) error {
	target, err := utilversion.ParseSemantic(exact)
	if err != nil {
		return err
	}
	older := false
	for _, subject := range slices.Sorted(maps.Keys(now)) {
		found, err := utilversion.ParseSemantic(now[subject])
		if err != nil {
			return fmt.Errorf("read the version of %s: %w", subject, err)
		}
		if target.LessThan(found) {
			why := fmt.Sprintf("it is %s, and nothing goes back to %s", now[subject], exact)
			return &procedure.Failure{Message: "look whether it can be upgraded: " + subject + ": " + why, Blockers: []trace.Blocker{{Subject: subject, Reason: why}}}
		}
		older = older || found.LessThan(target)
	}
	if !older {
		return procedure.Failf("look whether it can be upgraded: expected %s to be older than %s, and has that already", strings.Join(slices.Sorted(maps.Keys(now)), " or "), exact)
	}
	return nil
}

// kubeadm installs the op's node's kubeadm, and puts into the recording which one is about to work there.
func (w work) kubeadm(ctx context.Context) (exact string, err error) {
	exact, err = w.upgrader.InstallKubeadm(ctx, w.op.Node, w.op.Version)
	if err != nil {
		return "", refused(err)
	}
	return exact, w.env.Record(trace.KindFact, "node/"+w.op.Node, trace.KubeadmInstalled, trace.KubeadmData{Node: w.op.Node, Version: exact})
}

// whole looks whether the cluster is whole before anything is touched: an upgrade makes nothing better.
// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/#before-you-begin
func (w work) whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, wholeTimeout)
	defer cancel()
	if err := w.apiServers(ctx, ""); err != nil {
		return err
	}
	if err := procedure.AwaitEtcd(ctx, w.env); err != nil {
		return err
	}
	if err := w.manifests(ctx); err != nil {
		return err
	}
	ready, ctx := errgroup.WithContext(ctx)
	ready.SetLimit(askedAtOnce)
	for _, node := range w.env.Cluster.Nodes() {
		ready.Go(func() error {
			return procedure.FromWait(w.env.Objects.AwaitCondition(ctx, objects.Ref{Kind: "node", Name: node.Name}, "Ready", "True"))
		})
	}
	return ready.Wait()
}

// askedAtOnce is how many nodes are asked for side by side.
const askedAtOnce = 10

// wholeTimeout is how long the cluster may take to show that it is whole.
const wholeTimeout = time.Minute

// stage brings the version to the op's node, which must be older, or to all.
func (w work) stage(ctx context.Context) error {
	staging, ctx := errgroup.WithContext(ctx)
	staging.SetLimit(staged)
	for _, node := range w.env.Cluster.Nodes() {
		if w.op.Node != "" && node.Name != w.op.Node {
			continue
		}
		staging.Go(func() error {
			exact, err := w.upgrader.Stage(ctx, node.Name, w.op.Version)
			if err != nil {
				return refused(err)
			}
			fmt.Fprintf(w.env.Log, "node/%s has the programs of %s\n", node.Name, exact)
			if w.op.Node == "" {
				return nil // check has looked
			}
			return w.older(ctx, exact)
		})
	}
	return staging.Wait()
}

// older looks whether the op's node is: one that has the version already would be upgraded by nothing, and the upgrade look done.
func (w work) older(ctx context.Context, exact string) error {
	n, err := w.env.Kube.CoreV1().Nodes().Get(ctx, w.op.Node, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("look which version node/%s has: %w", w.op.Node, err)
	}
	return newer(map[string]string{"node/" + n.Name: n.Status.NodeInfo.KubeletVersion}, exact)
}

// apply upgrades the components of a control plane, and looks whether its API server says so and all of them answer.
func (w work) apply(ctx context.Context) error {
	how, ok := w.op.Options.(cluster.ControlPlaneUpgrade)
	if !ok {
		return fmt.Errorf("op %q has options of type %T", w.op.ID, w.op.Options)
	}
	exact, err := w.kubeadm(ctx)
	if err != nil {
		return err
	}
	if err := w.upgrader.UpgradeControlPlane(ctx, w.op.Node, w.op.Version, how); err != nil {
		return refused(err)
	}
	return w.controlPlane(ctx, exact)
}

// config brings a worker the configuration of its kubelet.
func (w work) config(ctx context.Context) error {
	if _, err := w.kubeadm(ctx); err != nil {
		return err
	}
	return refused(w.upgrader.UpgradeWorker(ctx, w.op.Node, w.op.Version))
}

// kubelet upgrades the kubelet of a node, and looks whether the node says so and is Ready. A new kubelet may start the components of its control plane again: they must work before
// the next node.
func (w work) kubelet(ctx context.Context) error {
	exact, err := w.upgrader.Stage(ctx, w.op.Node, w.op.Version)
	if err != nil {
		return refused(err)
	}
	began := time.Now()
	if err := w.upgrader.UpgradeKubelet(ctx, w.op.Node, w.op.Version); err != nil {
		return refused(err)
	}
	node := objects.Ref{Kind: "node", Name: w.op.Node}
	if err := w.env.Objects.AwaitJSONPath(ctx, node, "{.status.nodeInfo.kubeletVersion}", exact); err != nil {
		return procedure.FromWait(err)
	}
	if err := w.env.Objects.AwaitRenewed(ctx, w.op.Node, began); err != nil {
		return procedure.FromWait(err)
	}
	if err := w.env.Objects.AwaitCondition(ctx, node, "Ready", "True"); err != nil {
		return procedure.FromWait(err)
	}
	if !slices.Contains(w.env.Cluster.Nodes(), cluster.Node{Name: w.op.Node, Role: cluster.ControlPlane}) {
		return nil
	}
	return w.controlPlane(ctx, "")
}
