package world

import (
	"fmt"
	"maps"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/seatrial/seatrial/harness/trace"
)

// budgetState is what the fold remembers of a budget beside the entity.
type budgetState struct {
	spec     policyv1.PodDisruptionBudgetSpec
	selector labels.Selector
	// pods are the keys of the selected pods, each with whether it is healthy.
	pods map[string]bool
	// owners counts the selected pods of each controller.
	owners map[string]int
	// healthy is the number of true values in pods.
	healthy int
	// workloads are the keys of the topmost workloads whose template is selected.
	workloads map[string]bool
	// taken are the voluntary disruptions since the budget last had its desired number of healthy pods.
	taken []Taken
}

func newBudgetState(spec policyv1.PodDisruptionBudgetSpec) (*budgetState, error) {
	selector, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("selector: %w", err)
	}
	return &budgetState{spec: spec, selector: selector, pods: map[string]bool{}, owners: map[string]int{}, workloads: map[string]bool{}}, nil
}

func (s *budgetState) add(key string, pod *Pod) {
	s.pods[key] = pod.Healthy()
	if pod.Healthy() {
		s.healthy++
	}
	if pod.Controller != "" {
		s.owners[pod.Controller]++
	}
}

func (s *budgetState) remove(key string, pod *Pod) {
	if s.pods[key] {
		s.healthy--
	}
	delete(s.pods, key)
	if s.owners[pod.Controller]--; s.owners[pod.Controller] <= 0 {
		delete(s.owners, pod.Controller)
	}
}

func (f *Fold) budget(e trace.Event, key string, gone bool) error {
	if gone {
		delete(f.World.Budgets, key)
		delete(f.budgets, key)
		f.touch("budgets", key)
		f.selectAgain(key, e)
		return nil
	}
	var o struct {
		Metadata metav1.ObjectMeta                `json:"metadata"`
		Spec     policyv1.PodDisruptionBudgetSpec `json:"spec"`
	}
	if err := jsonv2.Unmarshal(e.Data, &o); err != nil {
		return fmt.Errorf("poddisruptionbudget %s: %w", key, err)
	}
	old := f.budgets[key]
	if old != nil && apiequality.Semantic.DeepEqual(old.spec, o.Spec) {
		return nil // only its status changed, which we count ourselves
	}
	state, err := newBudgetState(o.Spec)
	if err != nil {
		return fmt.Errorf("poddisruptionbudget %s: %w", key, err)
	}
	if old != nil {
		state.taken = old.taken
	}
	f.budgets[key] = state
	f.World.Budgets[key] = &Budget{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
	f.selectAgain(key, e)
	return nil
}

// selectAgain goes through all pods and workloads of the budget's namespace after the budget itself changed.
func (f *Fold) selectAgain(key string, e trace.Event) {
	state := f.budgets[key]
	for _, name := range sortedKeys(f.World.Pods) {
		pod := f.World.Pods[name]
		selected := state != nil && selects(key, state, pod.Namespace, pod.Labels)
		if selected {
			state.add(name, pod)
		}
		if mark(&pod.Budgets, key, selected) {
			f.touch("pods", name)
		}
	}
	for _, name := range sortedKeys(f.World.Workloads) {
		w := f.World.Workloads[name]
		selected := state != nil && selects(key, state, w.Namespace, w.Labels)
		if selected && w.Owner == "" {
			state.workloads[name] = true
		}
		if mark(&w.Budgets, key, selected) {
			f.touch("workloads", name)
		}
	}
	f.derive(key, e)
}

func selects(key string, s *budgetState, namespace string, podLabels map[string]string) bool {
	return namespaceOf(key) == namespace && s.selector.Matches(labels.Set(podLabels))
}

func namespaceOf(key string) string {
	for i := range key {
		if key[i] == '/' {
			return key[:i]
		}
	}
	return ""
}

// mark puts key into the sorted list or takes it out, and tells whether that changed it. The list is replaced, not edited.
func mark(list *[]string, key string, in bool) bool {
	i, found := slices.BinarySearch(*list, key)
	switch {
	case in && !found:
		*list = slices.Insert(slices.Clone(*list), i, key)
	case !in && found:
		*list = slices.Delete(slices.Clone(*list), i, i+1)
	default:
		return false
	}
	return true
}

// podInBudgets follows one pod through the budgets that select or selected it.
func (f *Fold) podInBudgets(old, pod *Pod, gone bool, e trace.Event) {
	key := pod.Namespace + "/" + pod.Name
	concerned := slices.Clone(pod.Budgets)
	if !gone && (old == nil || !maps.Equal(old.Labels, pod.Labels)) {
		for name, state := range f.budgets {
			if selects(name, state, pod.Namespace, pod.Labels) {
				mark(&concerned, name, true)
			}
		}
	}
	pod.Budgets = []string{}
	for _, name := range concerned {
		state := f.budgets[name]
		if state == nil {
			continue
		}
		if _, was := state.pods[key]; was {
			state.remove(key, pod)
		}
		if !gone && selects(name, state, pod.Namespace, pod.Labels) {
			state.add(key, pod)
			pod.Budgets = append(pod.Budgets, name)
		}
		if newlyTaken(old, pod) {
			taken := *pod.Taken
			taken.HealthyAfter = state.healthy
			state.taken = append(state.taken, taken)
		}
		f.derive(name, e)
	}
}

// newlyTaken tells whether this is the moment at which a healthy pod began to be deleted by a voluntary disruption. A pod that was not healthy costs its budgets nothing.
func newlyTaken(old, pod *Pod) bool {
	return pod.Deleting && (old == nil || !old.Deleting) && pod.Taken.Voluntary() && pod.Taken.WasHealthy
}

// workloadInBudgets finds the budgets of a workload's template, and derives anew those that reckon with its replicas.
func (f *Fold) workloadInBudgets(w *Workload, gone bool, e trace.Event) {
	for _, name := range sortedKeys(f.budgets) {
		state := f.budgets[name]
		selected := !gone && selects(name, state, w.Namespace, w.Labels)
		mark(&w.Budgets, name, selected)
		if delete(state.workloads, w.Key()); selected && w.Owner == "" {
			state.workloads[w.Key()] = true
		}
		if selected || namespaceOf(name) == w.Namespace && state.reckonsWith(w.Key(), f.World) {
			f.derive(name, e)
		}
	}
}

func (s *budgetState) reckonsWith(workload string, w *World) bool {
	for owner := range s.owners {
		if owner == workload || w.topOwner(owner) == workload {
			return true
		}
	}
	return false
}

// derive brings the budget's entity up to date with its state.
func (f *Fold) derive(key string, e trace.Event) {
	b, state := f.World.Budgets[key], f.budgets[key]
	if b == nil {
		return
	}
	reckon(b, state, f.World)
	b.Unhealthy = state.unhealthy()
	below := b.Healthy < b.Desired
	b.Taken = slices.Clone(state.taken)
	if b.Taken == nil {
		b.Taken = []Taken{}
	}
	if !below {
		state.taken = nil // forgotten for the next moment; this moment still sees it
	}
	f.intervals.set(BudgetBelow, b.Subject(), below, e, fmt.Sprintf("%d healthy, %d desired", b.Healthy, b.Desired))
	f.touch("budgets", key)
}

// unhealthy names the first MaxListed pods that are not healthy, in order.
func (s *budgetState) unhealthy() []string {
	first := []string{}
	if s.healthy == len(s.pods) {
		return first
	}
	for name, healthy := range s.pods {
		if healthy {
			continue
		}
		subject := "pod/" + name
		if len(first) == MaxListed && subject > first[MaxListed-1] {
			continue
		}
		i, _ := slices.BinarySearch(first, subject)
		first = slices.Insert(first, i, subject)
		first = first[:min(len(first), MaxListed)]
	}
	return first
}

// reckon computes what the disruption controller would write into the budget's status.
// https://kubernetes.io/docs/tasks/run-application/configure-pdb/
func reckon(b *Budget, s *budgetState, w *World) {
	b.Healthy, b.Pods, b.Expected = s.healthy, len(s.pods), len(s.pods)
	b.UnhealthyPodEvictionPolicy = string(policyv1.IfHealthyBudget)
	if p := s.spec.UnhealthyPodEvictionPolicy; p != nil {
		b.UnhealthyPodEvictionPolicy = string(*p)
	}
	b.Workloads = append([]string{}, sortedKeys(s.workloads)...)
	b.MinAvailable, b.MaxUnavailable, b.Desired = "", "", 0
	switch minimum, maximum := s.spec.MinAvailable, s.spec.MaxUnavailable; {
	case maximum != nil:
		b.MaxUnavailable = maximum.String()
		b.Expected = s.scale(b, w)
		b.Desired = max(0, b.Expected-scaled(maximum, b.Expected))
	case minimum != nil:
		b.MinAvailable = minimum.String()
		if minimum.Type == intstr.String {
			b.Expected = s.scale(b, w)
		}
		b.Desired = scaled(minimum, b.Expected)
	}
	if maximum, minimum := s.spec.MaxUnavailable, s.spec.MinAvailable; maximum == nil && minimum == nil {
		b.Expected = 0
	}
	b.Allowed = 0
	if b.Expected > 0 { // https://github.com/kubernetes/kubernetes: the disruption controller allows nothing where it expects nothing
		b.Allowed = max(0, b.Healthy-b.Desired)
	}
}

// scale is the number of pods that the controllers of the selected pods want; in a promised world, where there are no pods, what the selected workloads want.
func (s *budgetState) scale(b *Budget, w *World) int {
	owners := map[string]bool{}
	for owner := range s.owners {
		owners[w.topOwner(owner)] = true
	}
	if w.Promised {
		for _, key := range b.Workloads {
			owners[key] = true
		}
	}
	total := 0
	for owner := range owners {
		if wl := w.Workloads[owner]; wl != nil {
			total += wl.Replicas
		}
	}
	return total
}

// scaled resolves a number or a percentage, rounded up as the disruption controller does.
func scaled(v *intstr.IntOrString, total int) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(v, total, true)
	if err != nil {
		return total // the API server refuses such a value; the strictest reading never hides a breach
	}
	return n
}
