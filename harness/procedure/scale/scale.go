// Package scale is the step scale: kubectl scale, and then waiting until the
// workload has that many ready replicas.
package scale

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
)

// Scale sets the replicas of a workload.
type Scale struct{}

// Kind implements procedure.Procedure.
func (Scale) Kind() string { return "scale" }

// Needs implements procedure.Procedure.
func (Scale) Needs() []cluster.Capability { return nil }

// Plan implements procedure.Procedure.
func (Scale) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	s := step.Scale
	return &plan.Op{
		ID: step.ID, Title: fmt.Sprintf("scale %s to %d", s.Object, *s.Replicas), Procedure: "scale", Action: "scale",
		Options: s, Timeout: plan.Seconds(s.Timeout.Duration),
	}
}

// Do implements procedure.Procedure.
func (Scale) Do(ctx context.Context, env *procedure.Env, step scenario.Step, _ *plan.Op) error {
	ref := objects.ParseRef(step.Scale.Object, step.Scale.Namespace)
	want := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: ref.Name, Namespace: ref.Namespace},
		Spec:       autoscalingv1.ScaleSpec{Replicas: *step.Scale.Replicas},
	}
	apps := env.Kube.AppsV1()
	var err error
	if ref.Kind == "statefulset" {
		_, err = apps.StatefulSets(ref.Namespace).UpdateScale(ctx, ref.Name, want, metav1.UpdateOptions{})
	} else {
		_, err = apps.Deployments(ref.Namespace).UpdateScale(ctx, ref.Name, want, metav1.UpdateOptions{})
	}
	if objects.Refused(err) {
		return procedure.Failf("scale %s to %d: %v", ref, want.Spec.Replicas, err)
	}
	if err != nil {
		return fmt.Errorf("scale %s to %d: %w", ref, want.Spec.Replicas, err)
	}
	fmt.Fprintf(env.Log, "%s scaled to %d\n", ref, want.Spec.Replicas)
	return procedure.FromWait(env.Objects.AwaitReplicas(ctx, ref, int64(want.Spec.Replicas)))
}
