// Package fault brings the faults of a scenario about, and ends them.
package fault

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// Fault performs the ops of faults.
type Fault struct{}

// Do implements procedure.Performer.
func (Fault) Do(ctx context.Context, env *procedure.Env, _ scenario.Step, op *plan.Op) error {
	if op.Action == plan.ActionFaultsEnd {
		return env.Background.Wait(ctx)
	}
	f, ok := op.Options.(scenario.Fault)
	if !ok {
		return fmt.Errorf("op %q has options of type %T", op.ID, op.Options)
	}
	return begin(ctx, env, f)
}

// begin brings a fault about. It is in the trace before it is in the cluster, so that what follows from it is never taken for an act of ours.
func begin(ctx context.Context, env *procedure.Env, f scenario.Fault) error {
	kind, node, component, lasts := f.Kind()
	subject := "node/" + node
	if component != "" {
		subject = "component/" + node + "/" + component
	}
	act, err := of(env, kind, node, component)
	if err != nil {
		return err
	}
	if err := env.Record(trace.KindFault, subject, trace.FaultBegan, trace.FaultData{Fault: kind}); err != nil {
		return err
	}
	if err := act.begin(ctx); err != nil {
		return fmt.Errorf("fault %s: %w", kind, err)
	}
	fmt.Fprintf(env.Log, "%s: %s\n", subject, kind)
	act.over(env, kind, subject, lasts)
	return nil
}

// Over ends a fault at once that another process brought about, and has what it did waited for as that would have been.
func Over(env *procedure.Env, kind, subject string) error {
	what, rest, _ := strings.Cut(subject, "/")
	node, component, _ := strings.Cut(rest, "/")
	if what != "node" && what != "component" {
		return fmt.Errorf("fault %s of %q: neither a node nor a component", kind, subject)
	}
	act, err := of(env, kind, node, component)
	if err == nil {
		act.over(env, kind, subject, 0)
	}
	return err
}

// over ends a fault when it has lasted so long.
func (act act) over(env *procedure.Env, kind, subject string, lasts time.Duration) {
	quiet := *env
	quiet.Log = io.Discard // the op and its log end before the fault does
	env.Background.After(lasts, plan.FaultBack, subject+" is over "+kind, func(ctx context.Context) error {
		began := time.Now()
		if err := act.end(ctx); err != nil {
			return fmt.Errorf("end of fault %s: %w", kind, err)
		}
		if err := quiet.Record(trace.KindFault, subject, trace.FaultEnded, trace.FaultData{Fault: kind}); err != nil {
			return err
		}
		return act.back(ctx, &quiet, began)
	})
}

// act is how a fault begins and ends, and when its consequences are over.
type act struct {
	begin, end func(context.Context) error
	back       func(ctx context.Context, env *procedure.Env, since time.Time) error
}

func of(env *procedure.Env, kind, node, component string) (act, error) {
	back := func(await func(context.Context, *procedure.Env, string, time.Time) error) func(context.Context, *procedure.Env, time.Time) error {
		return func(ctx context.Context, env *procedure.Env, since time.Time) error {
			return await(ctx, env, node, since)
		}
	}
	power, hasPower := env.Cluster.(cluster.Power)
	network, hasNetwork := env.Cluster.(cluster.Network)
	disks, hasDisks := env.Cluster.(cluster.Disks)
	components, hasComponents := env.Cluster.(cluster.Components)
	manifests, hasManifests := env.Cluster.(cluster.Manifests)
	switch {
	case kind == "powerOff" && hasPower:
		return act{
			func(ctx context.Context) error { return power.PowerOff(ctx, node) }, func(ctx context.Context) error { return power.PowerOn(ctx, node) },
			back(procedure.AwaitBoot),
		}, nil
	case kind == "cutOff" && hasNetwork:
		return act{
			func(ctx context.Context) error { return network.CutOff(ctx, node) }, func(ctx context.Context) error { return network.Reconnect(ctx, node) },
			back(procedure.AwaitBack),
		}, nil
	case kind == "fillDisk" && hasDisks:
		return act{
			func(ctx context.Context) error { return disks.FillDisk(ctx, node) }, func(ctx context.Context) error { return disks.FreeDisk(ctx, node) },
			back(procedure.AwaitRoom),
		}, nil
	case kind == "etcdNoSpace" && env.Etcd != nil:
		return act{
			func(ctx context.Context) error { return env.Etcd.RaiseNoSpace(ctx, node) }, func(ctx context.Context) error { return env.Etcd.DisarmNoSpace(ctx, node) },
			answers(node),
		}, nil
	case kind == "etcdAlarmLeft" && env.Etcd != nil:
		return act{func(ctx context.Context) error { return env.Etcd.RaiseNoSpace(ctx, node) }, stays, unheeded}, nil
	case kind == "etcdOrphan" && env.Etcd != nil:
		return act{func(ctx context.Context) error { return env.Etcd.AddOrphan(ctx, node) }, stays, unheeded}, nil
	case kind == "kill" && hasComponents:
		return act{func(ctx context.Context) error { return components.Kill(ctx, node, component) }, stays, answers(node)}, nil
	case kind == "copyManifest" && hasManifests:
		return act{func(ctx context.Context) error { return manifests.CopyManifest(ctx, node, component) }, stays, answers(node)}, nil
	case kind == "pause" && hasComponents:
		return act{
			func(ctx context.Context) error { return components.Pause(ctx, node, component) }, func(ctx context.Context) error { return components.Resume(ctx, node, component) },
			answers(node),
		}, nil
	}
	return act{}, fmt.Errorf("cluster lacks what the fault %q takes, which its provider promised", kind)
}

// stays is the end of what somebody else ends, or nobody.
func stays(context.Context) error { return nil }

// unheeded is for what nothing waits for.
func unheeded(context.Context, *procedure.Env, time.Time) error { return nil }

// answers waits until the API server of the node answers, which needs its etcd.
func answers(node string) func(context.Context, *procedure.Env, time.Time) error {
	return func(ctx context.Context, env *procedure.Env, _ time.Time) error {
		for _, server := range env.Cluster.APIServers() {
			if server.Node == node {
				return procedure.AwaitAPIServer(ctx, server, "")
			}
		}
		return nil
	}
}
