package upgrade

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/procedure"
)

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

// recover waits until the node is Ready and every workload is complete: the next node may take pods from them only then. One that was incomplete before
// holds the upgrade up too, as it should.
func (w work) recover(ctx context.Context) error {
	if err := w.env.Objects.AwaitCondition(ctx, objects.Ref{Kind: "node", Name: w.op.Node}, "Ready", "True"); err != nil {
		return procedure.FromWait(err)
	}
	refs, err := w.incomplete(ctx)
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

// incomplete lists the Deployments, StatefulSets and DaemonSets that have not all their replicas, updated and ready. Those that are updated by hand can't be
// waited for, and are passed over.
func (w work) incomplete(ctx context.Context) ([]objects.Ref, error) {
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
