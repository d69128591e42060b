package drain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// explain says for each pod that is left which budget holds it, and why that budget allows nothing.
func explain(ctx context.Context, kube kubernetes.Interface, left []corev1.Pod) ([]trace.Blocker, error) {
	budgets := map[string][]policyv1.PodDisruptionBudget{}
	blockers := make([]trace.Blocker, 0, len(left))
	for _, pod := range left {
		if _, ok := budgets[pod.Namespace]; !ok {
			list, err := kube.PolicyV1().PodDisruptionBudgets(pod.Namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, fmt.Errorf("list the budgets of namespace %q: %w", pod.Namespace, err)
			}
			budgets[pod.Namespace] = list.Items
		}
		blockers = append(blockers, why(&pod, budgets[pod.Namespace]))
	}
	slices.SortFunc(blockers, func(a, b trace.Blocker) int { // what a budget holds first: it will not go by itself
		return cmp.Or(-cmp.Compare(a.Budget, b.Budget), cmp.Compare(a.Subject, b.Subject))
	})
	return blockers, nil
}

// why says what holds one pod.
func why(pod *corev1.Pod, budgets []policyv1.PodDisruptionBudget) trace.Blocker {
	b := trace.Blocker{Subject: podSubject(pod)}
	var holding []string
	var reasons []string
	for _, budget := range budgets {
		selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			holding = append(holding, "poddisruptionbudget/"+budget.Namespace+"/"+budget.Name)
			reasons = append(reasons, allows(&budget))
		}
	}
	b.Budget = strings.Join(holding, ", ")
	switch {
	case pod.DeletionTimestamp != nil && len(pod.Finalizers) > 0:
		b.Budget, b.Reason = "", "it is being deleted and waits for its finalizers "+strings.Join(pod.Finalizers, ", ")
	case pod.DeletionTimestamp != nil:
		b.Budget, b.Reason = "", fmt.Sprintf("it is being deleted and has not stopped; its grace period of %s ends at %s", grace(pod), pod.DeletionTimestamp.UTC().Format("15:04:05"))
	case len(holding) > 1:
		// https://kubernetes.io/docs/tasks/run-application/configure-pdb/#arbitrary-controllers-and-selectors
		b.Reason = fmt.Sprintf("%d budgets select it, and the eviction API refuses such a pod: leave one", len(holding))
	case len(holding) == 1:
		b.Reason = reasons[0]
	default:
		b.Reason = "no budget selects it; the last answer to its eviction is in the op's log"
	}
	return b
}

func grace(pod *corev1.Pod) string {
	if s := pod.DeletionGracePeriodSeconds; s != nil {
		return fmt.Sprintf("%d s", *s)
	}
	return "unknown length"
}

// allows says why a budget allows no disruption now.
func allows(b *policyv1.PodDisruptionBudget) string {
	s := b.Status
	rule := "neither minAvailable nor maxUnavailable is set"
	switch {
	case b.Spec.MaxUnavailable != nil:
		rule = "maxUnavailable " + b.Spec.MaxUnavailable.String()
	case b.Spec.MinAvailable != nil:
		rule = "minAvailable " + b.Spec.MinAvailable.String()
	}
	switch {
	case s.ObservedGeneration < b.Generation:
		return rule + ": the disruption controller has not looked at its latest change yet"
	case s.DisruptionsAllowed > 0:
		return fmt.Sprintf("%s allows %d disruptions by now: the drain came to its end before it asked again", rule, s.DisruptionsAllowed)
	case s.ExpectedPods == 0:
		return rule + ": the budget expects no pods, so it allows nothing"
	case s.DesiredHealthy >= s.ExpectedPods:
		return fmt.Sprintf("%s of %d pods never allows a disruption, however healthy they are: let it spare one", rule, s.ExpectedPods)
	case s.CurrentHealthy < s.DesiredHealthy:
		return fmt.Sprintf("%s: %d of %d pods are healthy and %d must be: find out why the others are not Ready%s", rule, s.CurrentHealthy, s.ExpectedPods, s.DesiredHealthy, unhealthyHint(b))
	}
	return fmt.Sprintf("%s: %d of %d pods are healthy and %d must be, so none can be spared until one more is Ready elsewhere%s", rule, s.CurrentHealthy, s.ExpectedPods, s.DesiredHealthy, unhealthyHint(b))
}

// unhealthyHint names the setting that lets pods go that do not serve anyhow.
// https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy
func unhealthyHint(b *policyv1.PodDisruptionBudget) string {
	if p := b.Spec.UnhealthyPodEvictionPolicy; p != nil && *p == policyv1.AlwaysAllow {
		return ""
	}
	return "; unhealthyPodEvictionPolicy: AlwaysAllow would let pods go that are not Ready"
}

// maxNamed bounds how many pods the message names; the blockers have them all.
const maxNamed = 5

func message(spec *scenario.Drain, left []corev1.Pod, blockers []trace.Blocker, refused error) string {
	var out strings.Builder
	fmt.Fprintf(&out, "drain node %q: expected no pods to evict within %s, %d left", spec.Node, spec.Timeout.Duration, len(left))
	for i, b := range blockers {
		if i == maxNamed {
			fmt.Fprintf(&out, "; and %d more", len(blockers)-maxNamed)
			break
		}
		out.WriteString("; " + b.Subject)
		if b.Budget != "" {
			out.WriteString(" held by " + b.Budget)
		}
		out.WriteString(": " + b.Reason)
	}
	if refused == nil {
		out.WriteString("; the drain itself reported no error, so these pods came while it ran")
	}
	return out.String()
}
