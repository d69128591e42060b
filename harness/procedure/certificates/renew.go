package certificates

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// Renew is the step renewCertificates.
type Renew struct{}

// The actions of its ops.
const (
	actionRenew      = "renew"
	actionHandOn     = "hand-on"
	actionRestart    = "restart"     // the components of a control plane
	actionRestartAll = "restart-all" // those of all, at the same time
	actionKubelet    = "kubelet"
)

// Kind implements procedure.Procedure.
func (Renew) Kind() string { return "renewCertificates" }

// Needs implements procedure.Procedure.
func (Renew) Needs() []cluster.Capability {
	return []cluster.Capability{cluster.CapCertificates, cluster.CapEtcd}
}

// Plan implements procedure.Procedure.
func (Renew) Plan(step scenario.Step, s plan.Setting) *plan.Op {
	spec := step.RenewCertificates
	root := &plan.Op{ID: step.ID, Title: "renew " + strings.Join(spec.Names, ", "), Procedure: "renewCertificates", Action: "all", Options: spec}
	op := func(id, action, node, format string, args ...any) {
		root.Ops = append(root.Ops, &plan.Op{
			ID: step.ID + "/" + id, Title: fmt.Sprintf(format, args...), Procedure: "renewCertificates", Action: action, Node: node, Timeout: plan.Seconds(spec.Timeout.Duration),
		})
	}
	nodes := spec.Nodes
	if len(nodes) == 0 {
		nodes = s.ControlPlanes()
	}
	for _, node := range nodes {
		op(node+"/renew", actionRenew, node, "kubeadm certs renew %s on %s", strings.Join(spec.Names, ", "), node)
		switch {
		case spec.AtOnce:
		case spec.Restart == scenario.RestartStaticPods:
			if spec.MoveLeader && len(s.ControlPlanes()) > 1 {
				op(node+"/handon", actionHandOn, node, "have the etcd of %s hand on the leadership, if it has it", node)
			}
			op(node+"/restart", actionRestart, node, "take the manifests of %s out of the kubelet's folder and back, and wait until the control plane works", node)
		case spec.Restart == scenario.RestartKubelet:
			op(node+"/kubelet", actionKubelet, node, "restart the kubelet of %s, which restarts no static pod", node)
		}
	}
	if spec.AtOnce {
		op("restart", actionRestartAll, "", "take the manifests of all control planes out of the kubelets' folders and back, and wait until they work")
	}
	op("look", actionLook, "", "look at every certificate")
	return root
}

// Do implements procedure.Procedure.
func (Renew) Do(ctx context.Context, env *procedure.Env, step scenario.Step, op *plan.Op) error {
	operator, err := operatorOf(env)
	if err != nil {
		return err
	}
	r := renewal{env: env, operator: operator, spec: step.RenewCertificates}
	switch op.Action {
	case actionRenew:
		return r.renew(ctx, op.Node)
	case actionHandOn:
		return procedure.HandOn(ctx, env, op.Node)
	case actionRestart:
		return r.restart(ctx, []string{op.Node})
	case actionRestartAll:
		return r.restart(ctx, r.nodes())
	case actionKubelet:
		return r.kubelet(ctx, op.Node)
	case actionLook:
		return Look(ctx, env, step.ID)
	}
	return fmt.Errorf("op %q has the unknown action %q", op.ID, op.Action)
}

// renewal is the step under way.
type renewal struct {
	env      *procedure.Env
	operator cluster.CertOperator
	spec     *scenario.RenewCertificates
}

// nodes are the control planes that the step is about.
func (r renewal) nodes() []string {
	if len(r.spec.Nodes) > 0 {
		return r.spec.Nodes
	}
	return r.env.Etcd.Nodes()
}

// renew renews the certificates of a control plane, and looks whether each that is there is another one then.
func (r renewal) renew(ctx context.Context, node string) error {
	before, err := r.files(ctx, node)
	if err != nil {
		return err
	}
	if err := r.operator.RenewCertificates(ctx, node, r.spec.Names); err != nil {
		return procedure.Failf("%v", err)
	}
	after, err := r.files(ctx, node)
	if err != nil {
		return err
	}
	if problems := notRenewed(before, after, r.spec.Names); len(problems) > 0 {
		return procedure.Failf("renew certificates on %s: expected others than before: %s", node, strings.Join(problems, "; "))
	}
	fmt.Fprintf(r.env.Log, "%s has new certificates: %s\n", node, strings.Join(r.spec.Names, ", "))
	return nil
}

// notRenewed says which of the wanted certificates are not as a renewal leaves them: there, another one than before, and no sooner at their end. Of all, those are wanted that were there.
func notRenewed(before, after map[string]trace.CertificateData, wanted []string) []string {
	var problems []string
	for _, name := range scenario.CertificateNames[1:] {
		old, was := before[name]
		now, is := after[name]
		switch {
		case !slices.Contains(wanted, name) && (!was || !slices.Contains(wanted, "all")):
		case !is || now.Problem != "":
			problems = append(problems, strings.TrimSpace(name+" is not there, or can't be used "+now.Problem))
		case was && old.Serial == now.Serial:
			problems = append(problems, name+" is the same")
		case was && now.NotAfter.Before(old.NotAfter):
			problems = append(problems, fmt.Sprintf("%s ends at %s, sooner than before", name, now.NotAfter.Format(time.RFC3339)))
		}
	}
	return problems
}

// files are the certificates in a control plane's files, by kubeadm's names.
func (r renewal) files(ctx context.Context, node string) (map[string]trace.CertificateData, error) {
	files, err := r.operator.CertificateFiles(ctx, node)
	if err != nil {
		return nil, err
	}
	found := map[string]trace.CertificateData{}
	for _, d := range certs.Read(node, files).Found() {
		if name := certs.NameOf(d.Path); name != "" && d.Part == "" {
			found[name] = d
		}
	}
	return found, nil
}

// stopOrder is the order in which the components of a control plane end: while etcd goes, no API server asks it any more.
var stopOrder = [][]string{{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}, {"etcd"}}

// restart ends all components of control planes and starts them again, and waits until the control plane works.
func (r renewal) restart(ctx context.Context, nodes []string) error {
	began := time.Now()
	var all errgroup.Group
	for _, node := range nodes {
		all.Go(func() error { return r.restartNode(ctx, node) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	for _, server := range r.env.Cluster.APIServers() {
		if err := procedure.AwaitAPIServer(ctx, server, ""); err != nil {
			return err
		}
	}
	if err := procedure.AwaitEtcd(ctx, r.env); err != nil {
		return err
	}
	if err := procedure.AwaitLeaders(ctx, r.env, time.Now()); err != nil {
		return err
	}
	return r.restarted(ctx, nodes, began)
}

// restartNode ends the components of a node and starts them again, etcd before the others: an API server that is started with it listens and keeps whoever it is given waiting.
func (r renewal) restartNode(ctx context.Context, node string) error {
	for _, components := range stopOrder {
		if err := r.operator.StopComponents(ctx, node, components); err != nil {
			return err
		}
	}
	if err := r.operator.StartComponents(ctx, node, "etcd"); err != nil {
		return err
	}
	if err := procedure.AwaitEtcd(ctx, r.env); err != nil {
		return err
	}
	return r.operator.StartComponents(ctx, node)
}

// restarted looks whether every component of the control planes was started since, and has settled then.
func (r renewal) restarted(ctx context.Context, nodes []string, since time.Time) error {
	for _, node := range nodes {
		started, within, err := r.operator.Started(ctx, node)
		if err != nil {
			return err
		}
		for _, component := range scenario.Components {
			if at, runs := started[component]; !runs || at.Before(since.Add(-within)) {
				return fmt.Errorf("component/%s/%s was to be started again, and runs since %s", node, component, at.UTC().Format(time.RFC3339))
			}
		}
		if err := r.operator.Settled(node); err != nil {
			return err
		}
	}
	return nil
}

// kubelet restarts a kubelet, and waits until the node says that it is Ready again.
func (r renewal) kubelet(ctx context.Context, node string) error {
	began := time.Now()
	if err := r.operator.RestartKubelet(ctx, node); err != nil {
		return procedure.Failf("%v", err)
	}
	return r.awaitKubelet(ctx, node, began)
}

// awaitKubelet waits until a node says that it is Ready, later than then.
func (r renewal) awaitKubelet(ctx context.Context, node string, since time.Time) error {
	if err := r.env.Objects.AwaitRenewed(ctx, node, since); err != nil {
		return procedure.FromWait(err)
	}
	return procedure.FromWait(r.env.Objects.AwaitCondition(ctx, objects.Ref{Kind: "node", Name: node}, "Ready", "True"))
}
