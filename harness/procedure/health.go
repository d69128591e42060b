package procedure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/etcd"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/trace"
)

// AwaitEtcd waits until the members of etcd are one healthy cluster, and puts what they said last into the recording either way. An alarm is not waited for: it stays until somebody disarms it.
func AwaitEtcd(ctx context.Context, env *Env) error {
	if env.Etcd == nil {
		return nil // and the policy says that it could not tell
	}
	var said []trace.EtcdData
	var last error
	failed := wait.PollUntilContextCancel(ctx, etcdEvery, true, func(ctx context.Context) (bool, error) {
		answers, err := env.Etcd.InStep(ctx)
		if ctx.Err() != nil && last != nil {
			return false, ctx.Err() // that the time is over is no answer: the one before says more
		}
		said, last = answers, err
		if alarm := (*etcd.AlarmError)(nil); errors.As(last, &alarm) {
			return false, alarm
		}
		return last == nil, nil
	})
	if err := RecordEtcd(said, env.Record); err != nil {
		return err
	}
	if failed != nil {
		return Failf("wait for etcd: expected every member to serve, without an alarm, and in step with the others, last seen: %v", last)
	}
	return nil
}

// HandOn has the node's member of etcd hand on the leadership, and looks whether all follow another then.
func HandOn(ctx context.Context, env *Env, node string) error {
	if env.Etcd == nil {
		return fmt.Errorf("cluster lacks the capability %q, which its provider promised", cluster.CapEtcd)
	}
	if err := AwaitEtcd(ctx, env); err != nil {
		return err
	}
	to, err := env.Etcd.HandOn(ctx, node)
	if err != nil {
		return Failf("%v", err)
	}
	if to == "" {
		fmt.Fprintf(env.Log, "etcd/%s does not lead\n", node)
		return nil
	}
	fmt.Fprintf(env.Log, "etcd/%s leads\n", to)
	return AwaitEtcd(ctx, env)
}

// RecordEtcd puts what members of etcd said of themselves into the recording.
func RecordEtcd(said []trace.EtcdData, record func(kind trace.Kind, subject, change string, data any) error) error {
	for _, s := range said {
		if err := record(trace.KindFact, "etcd/"+s.Node, trace.EtcdStatus, s); err != nil {
			return err
		}
	}
	return nil
}

// etcdEvery is the time between two questions to the members of etcd.
const etcdEvery = 500 * time.Millisecond

// AwaitLeaders waits until the controller manager and the scheduler have renewed their leases since. On a cluster with one API server they lose their leases while it is replaced, and until
// somebody has them no pod is replaced and no endpoint follows: draining a node meanwhile would be an outage.
func AwaitLeaders(ctx context.Context, env *Env, since time.Time) error {
	leaders, ctx := errgroup.WithContext(ctx)
	for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		leaders.Go(func() error { return awaitLeader(ctx, env, name, since) })
	}
	return leaders.Wait()
}

// LeaderAlive is how long ago a leader may have renewed its lease, which it does every two seconds, to be taken for one that works where nobody touched it.
const LeaderAlive = 5 * time.Second

func awaitLeader(ctx context.Context, env *Env, name string, since time.Time) error {
	last := "not asked"
	err := wait.PollUntilContextCancel(ctx, leaderEvery, true, func(ctx context.Context) (bool, error) {
		lease, err := env.Kube.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
		switch {
		case ctx.Err() != nil: // the other one is not there
			return false, ctx.Err()
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
		return Failf("wait for %s: expected its lease to be renewed, last seen: %s", name, last)
	}
	return nil
}

// leaderEvery is the time between two looks at a lease, which is renewed every two seconds.
const leaderEvery = 500 * time.Millisecond

// AwaitWorkloads waits until every workload is complete. DaemonSets, which are rolled out over all nodes one after the other, only when it is told to.
func AwaitWorkloads(ctx context.Context, env *Env, daemonSets bool) error {
	refs, err := incomplete(ctx, env, daemonSets)
	if err != nil {
		return err
	}
	waits, ctx := errgroup.WithContext(ctx)
	waits.SetLimit(awaitedAtOnce)
	for _, ref := range refs {
		fmt.Fprintf(env.Log, "%s is not complete yet\n", ref)
		waits.Go(func() error { return FromWait(env.Objects.AwaitRollout(ctx, ref)) })
	}
	return waits.Wait()
}

// awaitedAtOnce is how many workloads are awaited side by side: where many nodes are worked on at a time, one that was complete a moment ago may not be when the others are.
const awaitedAtOnce = 20

// incomplete lists the Deployments and StatefulSets, and if asked the DaemonSets, that have not all their replicas, updated and ready. Those that are updated by hand can't be
// waited for, and are passed over.
func incomplete(ctx context.Context, env *Env, daemonSets bool) ([]objects.Ref, error) {
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
	apps, all := env.Kube.AppsV1(), metav1.ListOptions{}
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
