// Package cordon is the steps cordon and uncordon: kubectl cordon and kubectl
// uncordon, through kubectl's own library. A cordon also waits until the
// controller manager has followed: see docs/decisions/015.
package cordon

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/kubectl/pkg/drain"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
)

// Mark marks a node.
type Mark struct {
	// Unschedulable makes it the step cordon; otherwise it is the step uncordon.
	Unschedulable bool
}

// Kind implements procedure.Procedure.
func (m Mark) Kind() string {
	if m.Unschedulable {
		return "cordon"
	}
	return "uncordon"
}

// Needs implements procedure.Procedure.
func (Mark) Needs() []cluster.Capability { return nil }

// Plan implements procedure.Procedure.
func (m Mark) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	op := &plan.Op{ID: step.ID, Procedure: m.Kind(), Action: m.Kind()}
	if m.Unschedulable {
		op.Node, op.Options, op.Title = step.Cordon.Node, step.Cordon, "mark "+step.Cordon.Node+" unschedulable"
		op.Timeout = procedure.Marking
	} else {
		op.Node, op.Options, op.Title = step.Uncordon.Node, step.Uncordon, "mark "+step.Uncordon.Node+" schedulable"
		op.Timeout = procedure.Quick
	}
	op.Command = []string{"kubectl", m.Kind(), op.Node}
	return op
}

// Do implements procedure.Procedure.
func (m Mark) Do(ctx context.Context, env *procedure.Env, _ scenario.Step, op *plan.Op) error {
	return Set(ctx, env, op.Node, m.Unschedulable)
}

// Set makes a node unschedulable, or schedulable again, and looks whether it is. An unschedulable node gets a taint from the controller manager, which is waited for
// (https://kubernetes.io/docs/reference/labels-annotations-taints/#node-kubernetes-io-unschedulable): one that has just become the leader renews its lease seconds before its controllers know what
// there is, and pods that are evicted meanwhile are gone, and are endpoints all the same.
func Set(ctx context.Context, env *procedure.Env, node string, unschedulable bool) error {
	n, err := env.Kube.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read node %q: %w", node, err)
	}
	helper := &drain.Helper{Ctx: ctx, Client: env.Kube, Out: env.Log, ErrOut: env.Log}
	if err := drain.RunCordonOrUncordon(helper, n, unschedulable); err != nil {
		return fmt.Errorf("set node %q unschedulable=%t: %w", node, unschedulable, err)
	}
	n, err = env.Kube.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read node %q again: %w", node, err)
	}
	if n.Spec.Unschedulable != unschedulable {
		return procedure.Failf("node %q: expected spec.unschedulable %t, found %t after setting it", node, unschedulable, n.Spec.Unschedulable)
	}
	if unschedulable {
		if n, err = awaitTaint(ctx, env, n); err != nil {
			return err
		}
	}
	if err := env.Recorded(ctx, "node/"+node, n.ResourceVersion); err != nil {
		return err
	}
	fmt.Fprintf(env.Log, "node/%s unschedulable=%t\n", node, unschedulable)
	return nil
}

// lookEvery is the time between two looks at a node whose taint is awaited. A controller manager that works takes a tenth of a second.
const lookEvery = 100 * time.Millisecond

// awaitTaint waits until a node has the taint of unschedulable nodes, and returns it as it is then.
func awaitTaint(ctx context.Context, env *procedure.Env, n *corev1.Node) (*corev1.Node, error) {
	name, last := n.Name, "it does not have it"
	err := wait.PollUntilContextCancel(ctx, lookEvery, true, func(ctx context.Context) (bool, error) {
		if slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnschedulable }) {
			return true, nil
		}
		now, err := env.Kube.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			n, last = now, "it does not have it"
		case ctx.Err() == nil: // the API may be away for a moment
			last = err.Error()
		}
		return false, nil
	})
	if err != nil {
		return nil, procedure.Failf("node %q was set unschedulable: expected that it has kube-controller-manager's taint %s, last seen: %s; does a controller manager work? One that could not write it does when the node changes next",
			name, corev1.TaintNodeUnschedulable, last)
	}
	return n, nil
}
