package roll

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
)

// onePod is what each pod requests of the resource "pods".
var onePod = resource.MustParse("1")

// refusing is why a node does not take a pod; free is that it does. The words are the scheduler's.
type refusing string

const (
	free         refusing = ""
	cordoned     refusing = "unschedulable"
	notSelected  refusing = "didn't match Pod's node affinity/selector"
	tainted      refusing = "had untolerated taints"
	portTaken    refusing = "didn't have free ports for the requested pod ports"
	noCompany    refusing = "didn't match pod affinity rules"
	badCompany   refusing = "didn't match pod anti-affinity rules"
	uneven       refusing = "didn't match pod topology spread constraints"
	insufficient          = "Insufficient " // and the resource
)

// state is a pool in the middle of a roll.
type state struct {
	*pool
	lifted   map[string]bool
	at       []int // where each pod is; -1 for none
	from     []int // where it was before its last move
	on       [][]int
	used     [][]int64
	ports    []map[string]int
	matching [][]int32 // by term and domain: the pods that the term selects
	holding  [][]int32 // by term and domain: the pods that can't have such pods beside them
	matches  []int32   // by term: the pods that the term selects, wherever they are
	closed   []bool
	missing  []int // by budget: healthy pods that wait for a place
	waiting  []int // pods that wait for a place
	next     int   // where to look first for the next one
}

func (p *pool) begin(lifted map[string]bool) *state {
	s := &state{
		pool: p, lifted: lifted, from: make([]int, len(p.pods)), at: make([]int, len(p.pods)), on: make([][]int, len(p.nodes)), used: make([][]int64, len(p.nodes)), ports: make([]map[string]int, len(p.nodes)),
		matching: make([][]int32, len(p.terms)), holding: make([][]int32, len(p.terms)), matches: make([]int32, len(p.terms)),
		closed: make([]bool, len(p.nodes)), missing: make([]int, len(p.budgets)),
	}
	for i := range p.nodes {
		s.closed[i] = !p.nodes[i].open
		s.used[i] = make([]int64, len(p.resources))
	}
	for i := range p.terms {
		s.matching[i] = make([]int32, len(p.nodes)+1) // there are no more domains than nodes
		s.holding[i] = make([]int32, len(p.nodes)+1)
	}
	for i := range p.pods {
		s.at[i] = -1
		if pod := &p.pods[i]; pod.node >= 0 && !pod.finished {
			s.put(i, pod.node)
		}
	}
	return s
}

// put places a pod on a node.
func (s *state) put(i, node int) {
	s.at[i] = node
	s.on[node] = append(s.on[node], i)
	s.count(i, node, +1)
}

// take takes a pod off its node.
func (s *state) take(i int) {
	node := s.at[i]
	s.at[i] = -1
	for place, other := range s.on[node] {
		if other == i {
			s.on[node] = append(s.on[node][:place], s.on[node][place+1:]...)
			break
		}
	}
	s.count(i, node, -1)
}

func (s *state) count(i, node int, by int32) {
	k, n := s.pods[i].kind, &s.nodes[node]
	for r, quantity := range k.requests {
		s.used[node][r] += int64(by) * quantity
	}
	for _, port := range k.ports {
		if s.ports[node] == nil {
			s.ports[node] = map[string]int{}
		}
		s.ports[node][port] += int(by)
	}
	for _, t := range k.counts {
		s.matches[t.place] += by
		if domain := n.domains[t.key]; domain >= 0 {
			s.matching[t.place][domain] += by
		}
	}
	for _, t := range k.without {
		if domain := n.domains[t.key]; domain >= 0 {
			s.holding[t.place][domain] += by
		}
	}
}

// place finds a node for a pod that has none, and tells whether there is one.
func (s *state) place(i int) bool {
	k := s.pods[i].kind
	s.suit(k)
	leasts := s.leasts(k)
	best, bestFree, found := -1, 0.0, 0
	for looked := range s.nodes {
		node := (s.next + looked) % len(s.nodes)
		if s.refuses(k, node, leasts) != free {
			continue
		}
		if f := s.freeAfter(k, node); best < 0 || f > bestFree {
			best, bestFree = node, f
		}
		if found++; found == enough(len(s.nodes)) {
			s.next = (node + 1) % len(s.nodes)
			break
		}
	}
	if best < 0 {
		return false
	}
	s.put(i, best)
	return true
}

// enough is how many nodes with room the scheduler is content with before it chooses the best.
// https://kubernetes.io/docs/concepts/scheduling-eviction/scheduler-perf-tuning/
func enough(nodes int) int {
	return max(100, nodes*max(5, 50-nodes/125)/100)
}

// freeAfter is the mean part of processors, memory and pods that is free on the node with the pod on it: the scheduler prefers the least allocated.
func (s *state) freeAfter(k *kind, node int) float64 {
	sum, n := 0.0, 0.0
	for r, name := range s.resources {
		if name != corev1.ResourceCPU && name != corev1.ResourceMemory && name != corev1.ResourcePods {
			continue
		}
		if room := s.nodes[node].room[r]; room > 0 {
			sum += float64(room-s.used[node][r]-k.requests[r]) / float64(room)
			n++
		}
	}
	return sum / max(n, 1)
}

// refuses says why a node does not take a pod of the kind, as the scheduler's filters do.
// https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
func (s *state) refuses(k *kind, node int, leasts []int32) refusing {
	if s.closed[node] {
		return cordoned
	}
	if k.suits[node] != free {
		return k.suits[node]
	}
	for r, quantity := range k.requests {
		if quantity > 0 && s.used[node][r]+quantity > s.nodes[node].room[r] {
			return refusing(insufficient + string(s.resources[r]))
		}
	}
	for _, port := range k.ports {
		if s.ports[node][port] > 0 {
			return portTaken
		}
	}
	domains := s.nodes[node].domains
	for _, t := range k.without {
		if d := domains[t.key]; d >= 0 && s.matching[t.place][d] > 0 {
			return badCompany
		}
	}
	for _, t := range k.counts {
		if d := domains[t.key]; d >= 0 && s.holding[t.place][d] > 0 {
			return badCompany
		}
	}
	for _, t := range k.with {
		d := domains[t.key]
		if d < 0 || s.matching[t.place][d] == 0 && (s.matches[t.place] > 0 || !t.selects(k.spec)) {
			return noCompany
		}
	}
	for i, c := range k.spreads {
		d := domains[c.key]
		if d < 0 {
			return uneven
		}
		self := int32(0)
		if c.selects(k.spec) {
			self = 1
		}
		if s.matching[c.place][d]+self-leasts[i] > c.maxSkew {
			return uneven
		}
	}
	return free
}

// leasts gives for each spread of the kind how many pods the emptiest domain has. A cordoned node counts as one that could take pods.
// https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
func (s *state) leasts(k *kind) []int32 {
	var leasts []int32
	for _, c := range k.spreads {
		least, seen := int32(-1), map[int32]bool{}
		for _, node := range k.home {
			d := s.nodes[node].domains[c.key]
			if d < 0 || seen[d] || c.honorTaints && (k.suits[node] == tainted || s.closed[node]) {
				continue
			}
			seen[d] = true
			if n := s.matching[c.place][d]; least < 0 || n < least {
				least = n
			}
		}
		if int32(len(seen)) < c.minDomains {
			least = 0
		}
		leasts = append(leasts, max(least, 0))
	}
	return leasts
}

// suit finds out once which nodes a kind of pod could ever be on.
func (p *pool) suit(k *kind) {
	if k.suits != nil {
		return
	}
	k.suits = make([]refusing, len(p.nodes))
	for i := range p.nodes {
		n := p.nodes[i].api
		if ok, err := k.affinity.Match(n); err != nil || !ok {
			k.suits[i] = notSelected
			continue
		}
		k.home = append(k.home, i)
		if _, found := schedulinghelper.FindMatchingUntoleratedTaint(klog.Background(), n.Spec.Taints, k.spec.Spec.Tolerations, lasting, false); found {
			k.suits[i] = tainted
		}
	}
}

// lasting tells whether a taint keeps pods away for good. Those of the control plane come and go with the node's state.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#node-kubernetes-io-not-ready
func lasting(t *corev1.Taint) bool {
	return t.Effect != corev1.TaintEffectPreferNoSchedule && !strings.HasPrefix(t.Key, "node.kubernetes.io/")
}
