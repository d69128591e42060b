package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/etcd"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/trace"
)

// controlPlane waits until every control plane works: API servers, of which the op's node's is of that version too, when one is given; etcd; and the leaders.
func (w work) controlPlane(ctx context.Context, exact string) error {
	if err := w.apiServers(ctx, exact); err != nil {
		return err
	}
	if err := w.etcd(ctx); err != nil {
		return err
	}
	if err := w.manifests(ctx); err != nil {
		return err
	}
	if err := w.served(ctx); err != nil {
		return err
	}
	return w.leaders(ctx)
}

// served puts the certificates that the API servers serve into the recording. One that is down now and then is asked again.
func (w work) served(ctx context.Context) error {
	for _, server := range w.env.Cluster.APIServers() {
		var found trace.CertificateData
		var last error
		err := wait.PollUntilContextCancel(ctx, servedEvery, true, func(ctx context.Context) (bool, error) {
			found, last = certs.Served(ctx, server)
			return last == nil, nil
		})
		if err != nil {
			return procedure.Failf("wait for the API server of %s: expected a handshake, last seen: %v", server.Node, last)
		}
		if err := w.env.Record(trace.KindFact, found.ID(), trace.CertificateServed, found); err != nil {
			return err
		}
	}
	return nil
}

// servedEvery is the time between two handshakes with an API server.
const servedEvery = 500 * time.Millisecond

// manifests puts into the recording what lies in the manifests folders of the control planes: the kubelet runs it, whoever left it there.
func (w work) manifests(ctx context.Context) error {
	folders, ok := w.env.Cluster.(cluster.Manifests)
	if !ok {
		return nil
	}
	for _, server := range w.env.Cluster.APIServers() {
		files, err := folders.Manifests(ctx, server.Node)
		if err != nil {
			return err
		}
		d := trace.ManifestsData{Node: server.Node, Files: []trace.ManifestData{}}
		for _, f := range files {
			d.Files = append(d.Files, trace.ManifestData(f))
		}
		if err := w.env.Record(trace.KindFact, "node/"+server.Node, trace.ManifestsListed, d); err != nil {
			return err
		}
	}
	return nil
}

// apiServers waits until every API server is ready, and the op's node's is of that version too, when one is given.
func (w work) apiServers(ctx context.Context, exact string) error {
	for _, server := range w.env.Cluster.APIServers() {
		version := ""
		if server.Node == w.op.Node {
			version = exact
		}
		if err := procedure.AwaitAPIServer(ctx, server, version); err != nil {
			return err
		}
	}
	return nil
}

// etcd waits until the members of etcd are one healthy cluster, and puts what they said last into the recording either way. An alarm is not waited for: it stays until somebody disarms it.
func (w work) etcd(ctx context.Context) error {
	if w.env.Etcd == nil {
		return nil // and the policy says that it could not tell
	}
	var said []trace.EtcdData
	var last error
	failed := wait.PollUntilContextCancel(ctx, etcdEvery, true, func(ctx context.Context) (bool, error) {
		answers, err := w.env.Etcd.InStep(ctx)
		if ctx.Err() != nil && last != nil {
			return false, ctx.Err() // that the time is over is no answer: the one before says more
		}
		said, last = answers, err
		if alarm := (*etcd.AlarmError)(nil); errors.As(last, &alarm) {
			return false, alarm
		}
		return last == nil, nil
	})
	for _, s := range said {
		if err := w.env.Record(trace.KindFact, "etcd/"+s.Node, trace.EtcdStatus, s); err != nil {
			return err
		}
	}
	if failed != nil {
		return procedure.Failf("wait for etcd: expected every member to serve, without an alarm, and in step with the others, last seen: %v", last)
	}
	return nil
}

// etcdEvery is the time between two questions to the members of etcd.
const etcdEvery = 500 * time.Millisecond

// leaders waits until the controller manager and the scheduler work again. On a cluster with one API server they lose their leases while it is replaced, and until somebody
// has them no pod is replaced and no endpoint follows: draining a node meanwhile would be an outage.
func (w work) leaders(ctx context.Context) error {
	since := time.Now()
	for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		last := "not asked"
		err := wait.PollUntilContextCancel(ctx, leaderEvery, true, func(ctx context.Context) (bool, error) {
			lease, err := w.env.Kube.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
			switch {
			case err != nil:
				last = err.Error()
			case lease.Spec.RenewTime == nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "":
				last = "nobody holds it"
			case lease.Spec.RenewTime.Time.Before(since):
				last = fmt.Sprintf("%s renewed it last at %s", *lease.Spec.HolderIdentity, lease.Spec.RenewTime.UTC().Format(time.TimeOnly))
			default:
				return true, nil
			}
			return false, nil
		})
		if err != nil {
			return procedure.Failf("wait for %s: expected its lease to be renewed, last seen: %s", name, last)
		}
	}
	return nil
}

// leaderEvery is the time between two looks at a lease, which is renewed every two seconds.
const leaderEvery = 500 * time.Millisecond

// recover waits until etcd is whole, the node is Ready, and every Deployment and StatefulSet is complete: the next node may take pods from them only then. One that was incomplete
// before holds the upgrade up too, as it should.
func (w work) recover(ctx context.Context) error {
	if err := w.etcd(ctx); err != nil {
		return err
	}
	if err := w.env.Objects.AwaitCondition(ctx, objects.Ref{Kind: "node", Name: w.op.Node}, "Ready", "True"); err != nil {
		return procedure.FromWait(err)
	}
	if err := w.leaders(ctx); err != nil { // without them what workloads say of themselves is old
		return err
	}
	return w.complete(ctx, false)
}

// finish waits until etcd is whole, and every workload is complete, the DaemonSets too.
func (w work) finish(ctx context.Context) error {
	if err := w.etcd(ctx); err != nil {
		return err
	}
	return w.complete(ctx, true)
}

// complete waits until every workload is complete. DaemonSets, which are rolled out over all nodes one after the other, only when it is told to.
func (w work) complete(ctx context.Context, daemonSets bool) error {
	refs, err := w.incomplete(ctx, daemonSets)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		fmt.Fprintf(w.env.Log, "%s is not complete yet\n", ref)
		if err := w.env.Objects.AwaitRollout(ctx, ref); err != nil {
			return procedure.FromWait(err)
		}
	}
	return nil
}

// incomplete lists the Deployments and StatefulSets, and if asked the DaemonSets, that have not all their replicas, updated and ready. Those that are updated by hand can't be
// waited for, and are passed over.
func (w work) incomplete(ctx context.Context, daemonSets bool) ([]objects.Ref, error) {
	var refs []objects.Ref
	look := func(kind string, o metav1.ObjectMeta, observed int64, byHand bool, want int32, have ...int32) {
		done := observed >= o.Generation
		for _, n := range have {
			done = done && n == want
		}
		if !done && !byHand {
			refs = append(refs, objects.Ref{Kind: kind, Namespace: o.Namespace, Name: o.Name})
		}
	}
	apps, all := w.env.Kube.AppsV1(), metav1.ListOptions{}
	deployments, err := apps.Deployments("").List(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("list the deployments: %w", err)
	}
	for _, d := range deployments.Items {
		look("deployment", d.ObjectMeta, d.Status.ObservedGeneration, false, *d.Spec.Replicas, d.Status.UpdatedReplicas, d.Status.Replicas, d.Status.AvailableReplicas)
	}
	sets, err := apps.StatefulSets("").List(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("list the stateful sets: %w", err)
	}
	for _, s := range sets.Items {
		byHand := s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
		look("statefulset", s.ObjectMeta, s.Status.ObservedGeneration, byHand, *s.Spec.Replicas, s.Status.UpdatedReplicas, s.Status.ReadyReplicas)
	}
	if !daemonSets {
		return refs, nil
	}
	daemons, err := apps.DaemonSets("").List(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("list the daemon sets: %w", err)
	}
	for _, d := range daemons.Items {
		byHand := d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType
		look("daemonset", d.ObjectMeta, d.Status.ObservedGeneration, byHand, d.Status.DesiredNumberScheduled, d.Status.UpdatedNumberScheduled, d.Status.NumberAvailable)
	}
	return refs, nil
}
