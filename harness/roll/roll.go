// Package roll finds out, before anything is touched, whether a roll can be carried through: whether each node of a list can be drained and come back, a few
// at a time, with the budgets, replicas, affinities, taints and free capacity that there are. Each drain may look possible alone and the roll deadlock all the
// same: https://github.com/kube-hetzner/terraform-hcloud-kube-hetzner/issues/1507.
//
//	answer, err := roll.Check(w, roll.Options{Nodes: []string{"worker-1", "worker-2"}, Parallel: 1})
//
// It drains the nodes of a [world.World] in thought: pods are evicted when their budget lets them, their replacements are placed one after the other and
// never moved to make room, as the scheduler does it, and are taken to become healthy where they are placed.
//
// A roll that is called possible may be stuck all the same, by what is not looked at: volumes that belong to a node or zone; preemption; preferred affinities;
// pods that wait for a node already; pods that tolerate a cordon; nodes that are not Ready; budgets over pods of a Job, of a DaemonSet or of a controller that the
// world does not know; other races of drains side by side than the one that is played; and steps before the roll that change budgets or replicas. Selectors of
// namespaces in pod affinities are taken to select all.
package roll

import (
	"cmp"
	"slices"

	"github.com/seatrial/seatrial/harness/world"
)

// Options say which nodes are drained and how.
type Options struct {
	// Nodes in the order in which they are to be drained.
	Nodes []string `json:"nodes"`
	// Parallel is how many may be away at a time, 1 or more.
	Parallel int   `json:"parallel"`
	Drain    Drain `json:"drain"`
}

// Drain are the options of kubectl drain that decide which pods can be taken.
type Drain struct {
	Force              bool   `json:"force"`
	DeleteEmptyDirData bool   `json:"deleteEmptyDirData"`
	DisableEviction    bool   `json:"disableEviction"`
	PodSelector        string `json:"podSelector"`
}

// Answer is what was found out.
type Answer struct {
	// Possible says that the order of the options works, or another one.
	Possible bool `json:"possible"`
	// Order works; empty when none was found.
	Order []string `json:"order"`
	// Waves is how often nodes are back before others can go, when Order is followed. Without anything in the way it is the number of nodes by Parallel.
	Waves int `json:"waves"`
	// Stuck lists the nodes that wait for ever when the order of the options is followed, if any do.
	Stuck []string `json:"stuck"`
	// Fewer is how many nodes at a time are possible where those of the options aren't; 0 when not even one is, or when they are.
	Fewer int `json:"fewer"`
	// Blockers keep the roll from being possible, ordered by object. A pod is named for one reason, and a second one may show when the first is gone.
	Blockers []Blocker `json:"blockers"`
}

// Blocker is an object that keeps a roll from being carried through.
type Blocker struct {
	// Object as findings name it: poddisruptionbudget/production/db, deployment/production/web, pod/production/bare.
	Object string `json:"object"`
	// Pod that can't leave Node, one of perhaps many.
	Pod  string `json:"pod"`
	Node string `json:"node"`
	// Reason says why, as a clause about the object: "lets none of its 3 pods be evicted".
	Reason string `json:"reason"`
	// Change would unblock it: "set maxUnavailable to 1 or more".
	Change string `json:"change"`
}

// tries bounds the orders that are tried: a pool with a way through shows it early, for each try puts what was stuck last.
const tries = 16

// Check looks for a way. Nodes that the world does not have are passed over: that they are missing is found elsewhere.
func Check(w *world.World, o Options) (Answer, error) {
	p, err := read(w, o)
	if err != nil {
		return Answer{}, err
	}
	order := p.order(o.Nodes)
	parallel := max(1, o.Parallel)
	if refusals := p.refusals(order); len(refusals) > 0 {
		return p.blocked(order, parallel, refusals), nil
	}
	first := p.roll(order, parallel, nil)
	if first.possible() {
		return p.found(order, nil, first), nil
	}
	if order, way := p.search(order, parallel, first); way != nil {
		return p.found(order, first.stuck, *way), nil
	}
	answer := p.blocked(order, parallel, nil)
	answer.Stuck = p.names(first.stuck)
	answer.Fewer = p.fewer(order, parallel)
	return answer, nil
}

// search tries other orders: what was stuck goes last.
func (p *pool) search(order []int, parallel int, result outcome) ([]int, *outcome) {
	for range tries {
		next := slices.Clone(order)
		slices.SortStableFunc(next, func(a, b int) int {
			return cmp.Compare(position(result.stuck, a), position(result.stuck, b))
		})
		if slices.Equal(next, order) {
			return nil, nil
		}
		order = next
		if result = p.roll(order, parallel, nil); result.possible() {
			return order, &result
		}
	}
	return nil, nil
}

func position(stuck []int, node int) int {
	if slices.Contains(stuck, node) {
		return 1
	}
	return 0
}

// fewer is the greatest number of nodes at a time that works, below one that doesn't.
func (p *pool) fewer(order []int, parallel int) int {
	works := 0
	for low, high := 1, parallel-1; low <= high; {
		middle := (low + high) / 2
		if p.roll(order, middle, nil).possible() {
			works, low = middle, middle+1
		} else {
			high = middle - 1
		}
	}
	return works
}

func (p *pool) found(order, stuck []int, way outcome) Answer {
	return Answer{Possible: true, Order: p.names(order), Waves: way.waves, Stuck: p.names(stuck), Blockers: []Blocker{}}
}

// blocked names the objects without which the roll would be possible. Those that keep their pods from being evicted in any state of the cluster are all
// among them; of the others, which are in each other's way, a set of which none can be left out.
func (p *pool) blocked(order []int, parallel int, refusals []refusal) Answer {
	blockers := map[string]Blocker{}
	for _, r := range refusals {
		add(blockers, p.explain(r))
	}
	lifted := func() map[string]bool {
		all := map[string]bool{}
		for object := range blockers {
			all[object] = true
		}
		return all
	}
	var candidates []string
	for {
		result := p.roll(order, parallel, lifted())
		known := len(blockers)
		for _, r := range result.refused {
			if b := p.explain(r); add(blockers, b) {
				candidates = append(candidates, b.Object)
			}
		}
		if len(blockers) == known {
			break
		}
	}
	for _, object := range candidates {
		without := lifted()
		if delete(without, object); p.roll(order, parallel, without).possible() {
			delete(blockers, object)
		}
	}
	answer := Answer{Order: []string{}, Stuck: []string{}, Blockers: []Blocker{}}
	for _, b := range blockers {
		answer.Blockers = append(answer.Blockers, b)
	}
	slices.SortFunc(answer.Blockers, func(a, b Blocker) int { return cmp.Compare(a.Object, b.Object) })
	return answer
}

func add(blockers map[string]Blocker, b Blocker) bool {
	_, known := blockers[b.Object]
	if !known {
		blockers[b.Object] = b
	}
	return !known
}
