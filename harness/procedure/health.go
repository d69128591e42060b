package procedure

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/trace"
)

// AwaitEtcd waits until the members of etcd are one healthy cluster, and puts what they said last into the recording either way. An alarm is not waited for: it stays until somebody disarms it. Where nobody
// can ask etcd, the policies say that they could not tell.
func AwaitEtcd(ctx context.Context, env *Env) error {
	said, wrong := env.Etcd.AwaitInStep(ctx)
	if err := RecordEtcd(said, env.Record); err != nil {
		return err
	}
	if wrong != nil {
		return Failf("wait for etcd: expected every member to serve, without an alarm, and in step with the others, last seen: %v", wrong)
	}
	return nil
}

// HandOn has the node's member of etcd hand on the leadership, and looks whether all follow another then, and it does not lead any more. It tries again until the context ends: whoever leads may lose it meanwhile.
func HandOn(ctx context.Context, env *Env, node string) error {
	if env.Etcd == nil {
		return fmt.Errorf("cluster lacks the capability %q, which its provider promised", cluster.CapEtcd)
	}
	var last error
	err := wait.PollUntilContextCancel(ctx, handOnEvery, true, func(ctx context.Context) (bool, error) {
		if err := AwaitEtcd(ctx, env); err != nil {
			return false, err
		}
		to, err := env.Etcd.HandOn(ctx, node)
		switch {
		case err != nil:
			last = err
			fmt.Fprintln(env.Log, err)
			return false, nil
		case to == "":
			fmt.Fprintf(env.Log, "etcd/%s does not lead\n", node)
			return true, nil
		}
		fmt.Fprintf(env.Log, "etcd/%s leads\n", to)
		last = fmt.Errorf("etcd/%s handed the leadership on to etcd/%s, and was not seen without it", node, to)
		return false, nil
	})
	if last != nil && wait.Interrupted(err) {
		return Failf("%v", last)
	}
	return err
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

// handOnEvery is the time between two attempts to have a member hand on the leadership.
const handOnEvery = 500 * time.Millisecond

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
