// Package drain is the step drain: kubectl drain, through kubectl's own library,
// with an answer to the question that kubectl leaves open: which budget holds
// which pod, and why.
//
// https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
package drain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/kubectl/pkg/drain"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// Drain empties a node.
type Drain struct {
	// Cordon marks the node unschedulable first.
	Cordon func(ctx context.Context, env *procedure.Env, node string, unschedulable bool) error
}

// Kind implements procedure.Procedure.
func (Drain) Kind() string { return "drain" }

// Needs implements procedure.Procedure.
func (Drain) Needs() []cluster.Capability { return nil }

// Plan implements procedure.Procedure.
func (Drain) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	return &plan.Op{
		ID: step.ID, Title: "drain " + step.Drain.Node, Procedure: "drain", Action: "all", Node: step.Drain.Node, Options: step.Drain,
		Ops: Ops(step.ID, step.Drain),
	}
}

// Ops are the ops of a drain below the op with that id: cordon, and evict.
func Ops(id string, spec *scenario.Drain) []*plan.Op {
	return []*plan.Op{
		{
			ID: id + "/cordon", Title: "mark " + spec.Node + " unschedulable", Procedure: "drain", Action: "cordon",
			Node: spec.Node, Options: spec, Timeout: procedure.Marking, Command: []string{"kubectl", "cordon", spec.Node},
		},
		{
			ID: id + "/drain", Title: title(spec), Procedure: "drain", Action: "drain",
			Node: spec.Node, Options: spec, Timeout: plan.Seconds(spec.Timeout.Duration + procedure.Margin), Command: command(spec),
		},
	}
}

// command is what kubectl is told for this drain.
func command(spec *scenario.Drain) []string {
	argv := []string{"kubectl", "drain", spec.Node}
	for _, option := range []struct {
		flag  string
		given bool
	}{
		{"--ignore-daemonsets", spec.IgnoreDaemonSets},
		{"--delete-emptydir-data", spec.DeleteEmptyDirData},
		{"--force", spec.Force},
		{"--disable-eviction", spec.DisableEviction},
		{"--pod-selector=" + spec.PodSelector, spec.PodSelector != ""},
	} {
		if option.given {
			argv = append(argv, option.flag)
		}
	}
	if spec.GracePeriodSeconds != nil {
		argv = append(argv, fmt.Sprintf("--grace-period=%d", *spec.GracePeriodSeconds))
	}
	return append(argv, "--timeout="+spec.Timeout.String())
}

func title(spec *scenario.Drain) string {
	if spec.DisableEviction {
		return "delete the pods of " + spec.Node + ", whatever their budgets say"
	}
	return "evict the pods of " + spec.Node
}

// Do implements procedure.Procedure.
func (d Drain) Do(ctx context.Context, env *procedure.Env, _ scenario.Step, op *plan.Op) error {
	if op.Action == "cordon" {
		return d.Cordon(ctx, env, op.Node, true)
	}
	spec, ok := op.Options.(*scenario.Drain)
	if !ok {
		return fmt.Errorf("op %q has options of type %T", op.ID, op.Options)
	}
	r := &round{env: env, spec: spec, taken: map[types.UID]bool{}}
	return r.drain(ctx)
}

// round is one drain of one node.
type round struct {
	env  *procedure.Env
	spec *scenario.Drain

	mu    sync.Mutex
	taken map[types.UID]bool // pods whose taking is in the trace
	err   error              // what went wrong with writing it
}

func (r *round) drain(ctx context.Context) error {
	helper := r.helper(ctx)
	list, errs := helper.GetPodsForDeletion(r.spec.Node)
	if list == nil {
		return fmt.Errorf("list the pods of node %q: %w", r.spec.Node, utilerrors.NewAggregate(errs))
	}
	if len(errs) > 0 {
		return &procedure.Failure{
			Message:  fmt.Sprintf("drain node %q: refused before any pod was touched: %v", r.spec.Node, utilerrors.NewAggregate(errs)),
			Blockers: []trace.Blocker{{Subject: "node/" + r.spec.Node, Reason: utilerrors.NewAggregate(errs).Error()}},
		}
	}
	if len(list.Pods()) == 0 && r.spec.PodSelector != "" {
		return procedure.Failf("drain node %q: the pod selector %q matches no pod on it, so nothing was rehearsed", r.spec.Node, r.spec.PodSelector)
	}
	if warnings := list.Warnings(); warnings != "" {
		fmt.Fprintf(r.env.Log, "WARNING: %s\n", warnings)
	}
	if r.spec.DisableEviction {
		for _, pod := range list.Pods() {
			r.taking(&pod, false) // kubectl calls back only after the delete, when the watch may already have shown it
		}
	}
	refused := helper.DeleteOrEvictPods(list.Pods())
	if err := r.recorded(); err != nil {
		return err
	}
	return r.look(ctx, helper, refused)
}

func (r *round) helper(ctx context.Context) *drain.Helper {
	grace := -1
	if r.spec.GracePeriodSeconds != nil {
		grace = *r.spec.GracePeriodSeconds
	}
	log := &lockedWriter{out: r.env.Log}
	return &drain.Helper{
		Ctx: ctx, Client: r.env.Kube, Out: log, ErrOut: log,
		Force: r.spec.Force, GracePeriodSeconds: grace, IgnoreAllDaemonSets: r.spec.IgnoreDaemonSets,
		Timeout: r.spec.Timeout.Duration, DeleteEmptyDirData: r.spec.DeleteEmptyDirData,
		PodSelector: r.spec.PodSelector, DisableEviction: r.spec.DisableEviction, EvictErrorRetryDelay: r.spec.RetryDelay.Duration,
		OnPodDeletionOrEvictionStarted: r.taking,
	}
}

// taking records, before the API server is asked, that a pod is to be taken. A retried eviction is recorded once.
func (r *round) taking(pod *corev1.Pod, usingEviction bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken[pod.UID] {
		return
	}
	r.taken[pod.UID] = true
	change := trace.Deleting
	if usingEviction {
		change = trace.Evicting
	}
	data := trace.TakingData{Node: r.spec.Node, Force: r.spec.Force}
	r.err = errors.Join(r.err, r.env.Record(trace.KindFact, podSubject(pod), change, data))
}

func (r *round) recorded() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func podSubject(pod *corev1.Pod) string { return "pod/" + pod.Namespace + "/" + pod.Name }

// look finds out whether the node is empty now, and if not, why: the answer decides, not what the drain said. It has a
// time of its own, because the drain may have used up all of ctx's.
func (r *round) look(ctx context.Context, helper *drain.Helper, refused error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), procedure.Margin)
	defer cancel()
	helper.Ctx = ctx
	list, errs := helper.GetPodsForDeletion(r.spec.Node)
	if list == nil {
		return errors.Join(refused, fmt.Errorf("look at node %q after its drain: %w", r.spec.Node, utilerrors.NewAggregate(errs)))
	}
	left := list.Pods()
	if refused == nil {
		left = slices.DeleteFunc(left, endedOfDaemonSet)
	}
	if len(left) == 0 && refused == nil {
		return nil
	}
	blockers, err := explain(ctx, r.env.Kube, left)
	if err != nil {
		return errors.Join(refused, err)
	}
	if len(left) == 0 {
		return fmt.Errorf("drain node %q: every pod is gone, yet: %w", r.spec.Node, refused)
	}
	return &procedure.Failure{Message: message(r.spec, left, blockers, refused), Blockers: blockers}
}

// endedOfDaemonSet tells whether a pod has ended and belongs to a DaemonSet. While it runs kubectl leaves it alone, and when it has ended it is one to delete: a DaemonSet
// that is rolled while a node is drained, as kube-proxy is after an upgrade of the control planes, has pods that end in that time.
func endedOfDaemonSet(pod corev1.Pod) bool {
	owner := metav1.GetControllerOf(&pod)
	return owner != nil && owner.Kind == "DaemonSet" && (pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed)
}

// lockedWriter lets kubectl's goroutines, one a pod, share a log.
type lockedWriter struct {
	mu  sync.Mutex
	out interface{ Write([]byte) (int, error) }
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}
