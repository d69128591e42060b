package roll

import (
	"fmt"
	"maps"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/seatrial/seatrial/harness/world"
)

// pool is a cluster as a roll finds it. Nodes, pods, budgets, kinds of pod and terms are named by their places in its lists.
type pool struct {
	drain     Drain
	resources []corev1.ResourceName
	nodes     []node
	byName    map[string]int
	pods      []pod
	budgets   []*world.Budget
	kinds     []*kind
	terms     []*term
	keys      []string // of labels that terms compare nodes by
}

type node struct {
	api *corev1.Node // name, labels and taints
	// room is what pods may request in all.
	room []int64
	// open says whether it takes pods before the roll; after its turn each does.
	open bool
	// domains has for each of the pool's keys the place of its label's value, or -1 for none.
	domains []int32
}

type pod struct {
	world    *world.Pod
	kind     *kind
	node     int // -1 when it has none
	budgets  []int
	stays    bool // a drain leaves it where it is
	finished bool
}

// kind is what pods that the scheduler can't tell apart have in common.
type kind struct {
	spec     *corev1.Pod // of one of them, as far as the scheduler looks at it
	requests []int64
	ports    []string
	affinity nodeaffinity.RequiredNodeAffinity
	with     []*term  // the pods that it needs beside it
	without  []*term  // those that it can't have beside it
	spreads  []spread // DoNotSchedule
	counts   []*term  // the terms that select it
	suits    []refusing
	home     []int // the nodes that its affinity allows, in order; filled with suits
}

// term selects pods, and compares nodes by a label.
type term struct {
	place      int
	namespaces []string // none means all
	selector   labels.Selector
	key        int
}

type spread struct {
	*term
	maxSkew, minDomains int32
	honorTaints         bool
}

// podObject is what the scheduler reads of a pod.
type podObject struct {
	Metadata struct {
		OwnerReferences []struct {
			Kind       string `json:"kind"`
			Controller bool   `json:"controller"`
		} `json:"ownerReferences"`
	} `json:"metadata"`
	Spec struct {
		NodeSelector              map[string]string                 `json:"nodeSelector"`
		Affinity                  *corev1.Affinity                  `json:"affinity"`
		Tolerations               []corev1.Toleration               `json:"tolerations"`
		TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints"`
		Overhead                  corev1.ResourceList               `json:"overhead"`
		Resources                 *corev1.ResourceRequirements      `json:"resources"`
		InitContainers            []container                       `json:"initContainers"`
		Containers                []container                       `json:"containers"`
	} `json:"spec"`
}

type container struct {
	Resources     corev1.ResourceRequirements    `json:"resources"`
	RestartPolicy *corev1.ContainerRestartPolicy `json:"restartPolicy"`
	Ports         []corev1.ContainerPort         `json:"ports"`
}

// read makes the pool of a world.
func read(w *world.World, o Options) (*pool, error) {
	drained, err := labels.Parse(o.Drain.PodSelector)
	if err != nil {
		return nil, fmt.Errorf("read pod selector: %w", err)
	}
	r := &reader{
		pool: &pool{drain: o.Drain, byName: map[string]int{}}, drained: drained,
		known: map[string]*kind{}, knownTerms: map[string]*term{}, budgets: map[string]int{},
	}
	r.resource(corev1.ResourcePods)
	for _, name := range slices.Sorted(maps.Keys(w.Nodes)) {
		if err := r.node(w.Nodes[name]); err != nil {
			return nil, fmt.Errorf("read node %q: %w", name, err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.Budgets)) {
		r.budgets[key] = len(r.pool.budgets)
		r.pool.budgets = append(r.pool.budgets, w.Budgets[key])
	}
	for _, key := range slices.Sorted(maps.Keys(w.Pods)) {
		if err := r.pod(w.Pods[key]); err != nil {
			return nil, fmt.Errorf("read pod %q: %w", key, err)
		}
	}
	r.finish()
	return r.pool, nil
}

type reader struct {
	pool       *pool
	drained    labels.Selector
	known      map[string]*kind
	knownTerms map[string]*term
	budgets    map[string]int
}

// resource is the place of a resource in lists of quantities.
func (r *reader) resource(name corev1.ResourceName) int {
	place := slices.Index(r.pool.resources, name)
	if place < 0 {
		place = len(r.pool.resources)
		r.pool.resources = append(r.pool.resources, name)
	}
	return place
}

// quantities are in thousandths of a processor, and whole for all else.
func (r *reader) quantities(list corev1.ResourceList) []int64 {
	all := make([]int64, len(r.pool.resources))
	for _, name := range slices.Sorted(maps.Keys(list)) { // in order: sums of parts depend on it, and with them where pods go
		quantity, place := list[name], r.resource(name)
		for len(all) <= place {
			all = append(all, 0)
		}
		if all[place] = quantity.Value(); name == corev1.ResourceCPU {
			all[place] = quantity.MilliValue()
		}
	}
	return all
}

func (r *reader) node(n *world.Node) error {
	var o struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
		Spec struct {
			Taints []corev1.Taint `json:"taints"`
		} `json:"spec"`
		Status struct {
			Allocatable corev1.ResourceList `json:"allocatable"`
		} `json:"status"`
	}
	if err := jsonv2.Unmarshal(n.Object, &o); err != nil {
		return err
	}
	r.pool.byName[n.Name] = len(r.pool.nodes)
	r.pool.nodes = append(r.pool.nodes, node{
		api:  &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: o.Metadata.Labels}, Spec: corev1.NodeSpec{Taints: o.Spec.Taints}},
		room: r.quantities(o.Status.Allocatable),
		open: n.Ready == string(corev1.ConditionTrue) && !n.Cordoned && n.Powered,
	})
	return nil
}

func (r *reader) pod(w *world.Pod) error {
	var o podObject
	if err := jsonv2.Unmarshal(w.Object, &o); err != nil {
		return err
	}
	p := pod{world: w, node: -1, stays: w.Mirror || !r.drained.Matches(labels.Set(w.Labels)), finished: w.Phase == string(corev1.PodSucceeded) || w.Phase == string(corev1.PodFailed)}
	if place, ok := r.pool.byName[w.Node]; ok {
		p.node = place
	}
	for _, owner := range o.Metadata.OwnerReferences {
		p.stays = p.stays || owner.Controller && owner.Kind == "DaemonSet"
	}
	for _, key := range w.Budgets {
		if place, ok := r.budgets[key]; ok {
			p.budgets = append(p.budgets, place)
		}
	}
	var err error
	if p.kind, err = r.kind(w, &o); err != nil {
		return err
	}
	r.pool.pods = append(r.pool.pods, p)
	return nil
}

// ownLabels tell the pods of one workload apart.
var ownLabels = []string{"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index", "batch.kubernetes.io/job-completion-index"}

func (r *reader) kind(w *world.Pod, o *podObject) (*kind, error) {
	common := maps.Clone(w.Labels)
	for _, label := range ownLabels {
		delete(common, label)
	}
	identity, err := jsonv2.Marshal([]any{w.Namespace, common, o.Spec}, jsonv2.Deterministic(true))
	if err != nil {
		return nil, err
	}
	if known := r.known[string(identity)]; known != nil {
		return known, nil
	}
	spec := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Labels: w.Labels}, Spec: corev1.PodSpec{
		NodeSelector: o.Spec.NodeSelector, Affinity: o.Spec.Affinity, Tolerations: o.Spec.Tolerations,
		TopologySpreadConstraints: o.Spec.TopologySpreadConstraints, Overhead: o.Spec.Overhead, Resources: o.Spec.Resources,
	}}
	k := &kind{spec: spec}
	for _, c := range o.Spec.InitContainers {
		spec.Spec.InitContainers = append(spec.Spec.InitContainers, corev1.Container{Resources: c.Resources, RestartPolicy: c.RestartPolicy})
	}
	for _, c := range o.Spec.Containers {
		spec.Spec.Containers = append(spec.Spec.Containers, corev1.Container{Resources: c.Resources})
		for _, port := range c.Ports {
			if port.HostPort > 0 {
				k.ports = append(k.ports, fmt.Sprintf("%d/%s", port.HostPort, port.Protocol))
			}
		}
	}
	requests := resourcehelper.PodRequests(spec, resourcehelper.PodResourcesOptions{})
	requests[corev1.ResourcePods] = onePod
	k.requests = r.quantities(requests)
	k.affinity = nodeaffinity.GetRequiredNodeAffinity(spec)
	if err := r.constrain(k, w); err != nil {
		return nil, err
	}
	r.known[string(identity)] = k
	r.pool.kinds = append(r.pool.kinds, k)
	return k, nil
}

// constrain reads what the kind asks of the pods beside it.
func (r *reader) constrain(k *kind, w *world.Pod) (err error) {
	if a := k.spec.Spec.Affinity; a != nil {
		if a.PodAffinity != nil {
			if k.with, err = r.affinityTerms(w.Namespace, a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution); err != nil {
				return err
			}
		}
		if a.PodAntiAffinity != nil {
			if k.without, err = r.affinityTerms(w.Namespace, a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution); err != nil {
				return err
			}
		}
	}
	for _, c := range k.spec.Spec.TopologySpreadConstraints {
		if c.WhenUnsatisfiable != corev1.DoNotSchedule {
			continue
		}
		selector := c.LabelSelector.DeepCopy()
		for _, key := range c.MatchLabelKeys {
			if value, ok := w.Labels[key]; ok && selector != nil {
				selector = metav1.AddLabelToSelector(selector, key, value)
			}
		}
		t, err := r.term([]string{w.Namespace}, selector, c.TopologyKey)
		if err != nil {
			return err
		}
		s := spread{term: t, maxSkew: c.MaxSkew, minDomains: 1, honorTaints: c.NodeTaintsPolicy != nil && *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor}
		if c.MinDomains != nil {
			s.minDomains = *c.MinDomains
		}
		k.spreads = append(k.spreads, s)
	}
	return nil
}

func (r *reader) affinityTerms(namespace string, required []corev1.PodAffinityTerm) ([]*term, error) {
	var terms []*term
	for _, t := range required {
		namespaces := t.Namespaces
		switch {
		case t.NamespaceSelector != nil:
			namespaces = nil
		case len(namespaces) == 0:
			namespaces = []string{namespace}
		}
		read, err := r.term(namespaces, t.LabelSelector, t.TopologyKey)
		if err != nil {
			return nil, err
		}
		terms = append(terms, read)
	}
	return terms, nil
}

func (r *reader) term(namespaces []string, selector *metav1.LabelSelector, key string) (*term, error) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, err
	}
	identity := fmt.Sprintf("%q %q %q", namespaces, s, key)
	if known := r.knownTerms[identity]; known != nil {
		return known, nil
	}
	place := slices.Index(r.pool.keys, key)
	if place < 0 {
		place = len(r.pool.keys)
		r.pool.keys = append(r.pool.keys, key)
	}
	t := &term{place: len(r.pool.terms), namespaces: namespaces, selector: s, key: place}
	r.knownTerms[identity] = t
	r.pool.terms = append(r.pool.terms, t)
	return t, nil
}

// finish computes what needs all nodes, pods and terms.
func (r *reader) finish() {
	p := r.pool
	values := make([]map[string]int32, len(p.keys))
	for i := range values {
		values[i] = map[string]int32{}
	}
	for i := range p.nodes {
		n := &p.nodes[i]
		n.room = slices.Grow(n.room, len(p.resources))[:len(p.resources)]
		n.domains = make([]int32, len(p.keys))
		for k, key := range p.keys {
			value, ok := n.api.Labels[key]
			if !ok {
				n.domains[k] = -1
				continue
			}
			place, known := values[k][value]
			if !known {
				place = int32(len(values[k]))
				values[k][value] = place
			}
			n.domains[k] = place
		}
	}
	for _, k := range p.kinds {
		k.requests = slices.Grow(k.requests, len(p.resources))[:len(p.resources)]
		for _, t := range p.terms {
			if t.selects(k.spec) {
				k.counts = append(k.counts, t)
			}
		}
	}
}

func (t *term) selects(p *corev1.Pod) bool {
	return (len(t.namespaces) == 0 || slices.Contains(t.namespaces, p.Namespace)) && t.selector.Matches(labels.Set(p.Labels))
}

// order gives the places of nodes.
func (p *pool) order(names []string) []int {
	var order []int
	for _, name := range names {
		if place, ok := p.byName[name]; ok {
			order = append(order, place)
		}
	}
	return order
}

func (p *pool) names(nodes []int) []string {
	names := []string{}
	for _, place := range nodes {
		names = append(names, p.nodes[place].api.Name)
	}
	return names
}
