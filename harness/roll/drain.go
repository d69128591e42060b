package roll

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// outcome is how a roll went in thought.
type outcome struct {
	waves   int
	stuck   []int // nodes that can't be emptied, or none when pods that lost their place find none at the end
	refused []refusal
}

func (o outcome) possible() bool { return len(o.refused) == 0 }

// refusal is a pod that can't leave its node, or that finds none.
type refusal struct {
	pod  int
	node int
	why  why
	// away are the nodes that are being drained.
	away []int
	// instead is, for a budget that is used up, a pod that waits for a place and uses it up.
	instead int
	// nodes counts why they do not take that pod.
	nodes map[refusing]int
}

type why string

const (
	twoBudgets  why = "two budgets"
	noneAllowed why = "the budget allows none even when all is well"
	unhealthy   why = "unhealthy pods use the budget up"
	usedUp      why = "pods without a place use the budget up"
	homeless    why = "it finds no place again"
	bare        why = "no controller brings it back"
	localData   why = "it has local data"
)

// refusals finds the pods on the nodes that a drain takes from none of them, whatever the state of the others.
func (p *pool) refusals(order []int) []refusal {
	var all []refusal
	for i := range p.pods {
		if pod := &p.pods[i]; pod.stays || pod.finished || pod.node < 0 || !slices.Contains(order, pod.node) {
			continue
		}
		if w := p.never(i); w != "" {
			all = append(all, refusal{pod: i, node: p.pods[i].node, why: w, instead: -1})
		}
	}
	return all
}

// never says why a pod can't be taken in any state of the others.
func (p *pool) never(i int) why {
	pod := &p.pods[i]
	switch {
	case pod.world.Controller == "" && !p.drain.Force:
		return bare
	case pod.world.EmptyDir && !p.drain.DeleteEmptyDirData:
		return localData
	case !p.asks(pod):
		return ""
	case len(pod.budgets) > 1:
		return twoBudgets
	}
	b := p.budgets[pod.budgets[0]]
	switch {
	case !pod.world.Ready && (b.UnhealthyPodEvictionPolicy == string(policyv1.AlwaysAllow) || b.Healthy >= b.Desired && b.Desired > 0):
		return ""
	case b.Expected == 0: // the disruption controller allows nothing where it expects nothing
		return noneAllowed
	case b.Healthy > b.Desired:
		return ""
	case b.Expected <= b.Desired:
		return noneAllowed
	}
	return unhealthy
}

// asks tells whether a budget is asked before the pod is taken: the eviction API asks none for one that is pending or ending.
func (p *pool) asks(pod *pod) bool {
	return !p.drain.DisableEviction && len(pod.budgets) > 0 && !pod.world.Deleting && pod.world.Phase != string(corev1.PodPending)
}

// roll drains the nodes in that order, as many at a time as said, until all were or nothing moves any more. Objects that are lifted hold nothing up: a
// budget allows everything, and the pods of a workload need no place.
//
// Of the nodes that are away each loses a pod in turn, the first that can go. Drains that run side by side do so in any order: this one finds many that wait
// for each other, and not all.
func (p *pool) roll(order []int, parallel int, lifted map[string]bool) outcome {
	s := p.begin(lifted)
	queue := order
	var away []int
	var result outcome
	for len(queue) > 0 || len(away) > 0 {
		for len(away) < parallel && len(queue) > 0 {
			s.closed[queue[0]] = true
			away, queue = append(away, queue[0]), queue[1:]
		}
		moved := false
		for s.turn(away) {
			moved = true
		}
		left := slices.DeleteFunc(slices.Clone(away), func(node int) bool { return len(s.left(node)) == 0 })
		if len(left) == len(away) && !moved {
			result.stuck = left
			for _, node := range left {
				for _, i := range s.left(node) {
					result.refused = append(result.refused, s.refusal(i, left))
				}
			}
			return result
		}
		if len(left) < len(away) {
			for _, node := range away {
				s.closed[node] = slices.Contains(left, node)
			}
			s.settle()
			result.waves++
		}
		if away = left; len(away) == 0 && len(s.waiting) > 0 {
			for _, i := range s.waiting {
				result.refused = append(result.refused, refusal{pod: i, node: s.from[i], why: homeless, instead: i, nodes: s.look(i)})
			}
			return result
		}
	}
	return result
}

// turn takes a pod from each node that lets one go, and tells whether any did.
func (s *state) turn(away []int) (moved bool) {
	for _, node := range away {
		for _, i := range s.left(node) {
			if s.holds(i) == "" {
				s.evict(i)
				moved = true
				break
			}
		}
	}
	return moved
}

// left lists the pods that are to leave a node.
func (s *state) left(node int) []int {
	return slices.DeleteFunc(slices.Clone(s.on[node]), func(i int) bool { return s.pods[i].stays })
}

// evict takes a pod from its node, and finds a place for the one that its controller makes instead.
func (s *state) evict(i int) {
	s.from[i] = s.at[i]
	s.take(i)
	if s.pods[i].world.Controller == "" {
		s.miss(i, +1) // for good
		return
	}
	if s.place(i) || s.lifted[s.owner(i)] {
		return
	}
	s.waiting = append(s.waiting, i)
	s.miss(i, +1)
}

// owner is the object that findings name for a pod: its workload, or itself.
func (s *state) owner(i int) string {
	if pod := s.pods[i].world; pod.Workload != "" {
		return pod.Workload
	}
	return s.pods[i].world.Subject()
}

// miss counts a healthy pod that has no place, or has one again.
func (s *state) miss(i, by int) {
	if !s.pods[i].world.Healthy() {
		return
	}
	for _, b := range s.pods[i].budgets {
		s.missing[b] += by
	}
}

// settle gives a place to those that wait and now find one.
func (s *state) settle() {
	s.waiting = slices.DeleteFunc(s.waiting, func(i int) bool {
		if !s.place(i) {
			return false
		}
		s.miss(i, -1)
		return true
	})
}

// holds says why the eviction API refuses a pod, or "" when it doesn't.
// https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
func (s *state) holds(i int) why {
	pod := &s.pods[i]
	if slices.ContainsFunc(s.objects(i), func(object string) bool { return s.lifted[object] }) {
		return ""
	}
	if w := s.never(i); w != "" {
		return w
	}
	if !s.asks(pod) {
		return ""
	}
	b := s.budgets[pod.budgets[0]]
	healthy := b.Healthy - s.missing[pod.budgets[0]]
	switch {
	case healthy > b.Desired:
		return ""
	case !pod.world.Ready && (b.UnhealthyPodEvictionPolicy == string(policyv1.AlwaysAllow) || healthy == b.Desired):
		return ""
	}
	return usedUp
}

// refusal explains why a pod is held.
func (s *state) refusal(i int, away []int) refusal {
	r := refusal{pod: i, node: s.at[i], why: s.holds(i), away: away, instead: -1}
	if r.why == usedUp {
		r.why = unhealthy
		for _, other := range s.waiting {
			if slices.Contains(s.pods[other].budgets, s.pods[i].budgets[0]) {
				r.why, r.instead, r.nodes = usedUp, other, s.look(other)
			}
		}
	}
	return r
}

// objects are what a pod's eviction depends on: itself and its budgets.
func (s *state) objects(i int) []string {
	objects := []string{s.pods[i].world.Subject()}
	for _, b := range s.pods[i].budgets {
		objects = append(objects, s.budgets[b].Subject())
	}
	return objects
}

// look counts why the nodes do not take a pod.
func (s *state) look(i int) map[refusing]int {
	k := s.pods[i].kind
	s.suit(k)
	leasts := s.leasts(k)
	counts := map[refusing]int{}
	for node := range s.nodes {
		counts[s.refuses(k, node, leasts)]++
	}
	delete(counts, free)
	return counts
}
