package roll

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/seatrial/seatrial/harness/world"
)

// explain says of a refusal which object is to blame, and what to change.
func (p *pool) explain(r refusal) Blocker {
	pod := p.pods[r.pod]
	b := Blocker{Object: pod.world.Subject(), Pod: pod.world.Subject(), Node: p.nodes[r.node].api.Name}
	switch r.why {
	case bare:
		b.Reason, b.Change = "has no controller that brings it back, so the drain refuses it", "give it a controller, or drain with force and lose it"
		return b
	case localData:
		b.Reason, b.Change = "has an emptyDir volume, so the drain refuses it", "drain with deleteEmptyDirData when that data may be lost"
		return b
	case twoBudgets:
		var names []string
		for _, place := range pod.budgets {
			names = append(names, p.budgets[place].Key())
		}
		b.Object = p.budgets[pod.budgets[0]].Subject()
		b.Reason = fmt.Sprintf("is one of %d budgets that select %s (%s), and the eviction API refuses such a pod", len(names), b.Pod, strings.Join(names, ", "))
		b.Change = "narrow their selectors until one is left"
		return b
	case usedUp, homeless:
		return p.explainPlace(r, b)
	}
	budget := p.budgets[pod.budgets[0]]
	b.Object = budget.Subject()
	if r.why == unhealthy {
		b.Reason = fmt.Sprintf("wants %d healthy pods and has %d: %s", budget.Desired, budget.Healthy, strings.Join(budget.Unhealthy, ", "))
		b.Change = "repair these pods"
		if !pod.world.Ready && budget.UnhealthyPodEvictionPolicy != string(policyv1.AlwaysAllow) {
			b.Change += ", or set unhealthyPodEvictionPolicy to AlwaysAllow"
		}
		return b
	}
	b.Reason = fmt.Sprintf("lets none of its %d pods be evicted", budget.Expected)
	b.Change = loosen(budget)
	return b
}

// loosen says what makes a budget allow one more pod to be away.
func loosen(b *world.Budget) string {
	switch {
	case b.Expected == 0 && b.MaxUnavailable == "" && b.MinAvailable == "":
		return "set maxUnavailable to 1 or more"
	case b.Expected == 0:
		return "set minAvailable to a number: its pods have no controller that says how many are expected"
	case b.MaxUnavailable != "":
		return fmt.Sprintf("set maxUnavailable to %d or more", b.Expected-b.Desired+1)
	case b.Desired > 1 || b.Expected > 1:
		return fmt.Sprintf("set minAvailable to %d, or run a replica more", b.Desired-1)
	}
	return "run a second replica, or accept the outage with minAvailable 0"
}

// explainPlace says why a pod has no place while its node is away.
func (p *pool) explainPlace(r refusal, b Blocker) Blocker {
	waits := p.pods[r.instead] // a budget is used up by pods that have no place, and by nothing else: the unhealthy ones are seen before
	b.Object = cmp.Or(waits.world.Workload, waits.world.Subject())
	refusals := slices.SortedFunc(maps.Keys(r.nodes), func(a, c refusing) int {
		return cmp.Or(cmp.Compare(r.nodes[c], r.nodes[a]), cmp.Compare(a, c))
	})
	var counts []string
	for _, refusal := range refusals {
		if refusal != cordoned {
			counts = append(counts, fmt.Sprintf("%d %s", r.nodes[refusal], refusal))
		}
	}
	b.Reason = fmt.Sprintf("has no place for %s while %s away", waits.world.Subject(), are(p.names(r.away)))
	if r.why == homeless {
		b.Reason = "finds no place for it again when every node is back"
	}
	if len(counts) > 0 {
		b.Reason += fmt.Sprintf(" (of %d other nodes: %s)", len(p.nodes)-r.nodes[cordoned], strings.Join(counts, ", "))
	}
	var changes []string
	for _, refusal := range refusals {
		if change := p.remedy(refusal, waits.kind); change != "" && !slices.Contains(changes, change) {
			changes = append(changes, change)
		}
	}
	if r.why == usedUp {
		budget := p.budgets[p.pods[r.pod].budgets[0]]
		b.Reason += fmt.Sprintf(", and %s lets no more pods be away", budget.Subject())
		changes = append(changes, "let "+budget.Subject()+" have one more pod away: "+loosen(budget))
	}
	b.Change = strings.Join(changes, "; or ")
	return b
}

// are makes a subject and its verb of names.
func are(names []string) string {
	switch n := len(names); n {
	case 1:
		return names[0] + " is"
	default:
		return fmt.Sprintf("%d nodes (%s) are", n, strings.Join(names[:min(n, 5)], ", "))
	}
}

// remedy is what makes a node take a pod that it refuses; "" for what is not to be changed.
func (p *pool) remedy(r refusing, k *kind) string {
	if name, ok := strings.CutPrefix(string(r), insufficient); ok {
		place := slices.IndexFunc(p.resources, func(n corev1.ResourceName) bool { return string(n) == name })
		return fmt.Sprintf("have %s of %s free on another node, or lower the request", quantity(name, k.requests[place]), name)
	}
	switch r {
	case notSelected:
		return "let its node selector or affinity match another node"
	case tainted:
		return "let it tolerate the taint of another node"
	case portTaken:
		return "have another node where its port is free"
	case badCompany:
		return "add a node that none of them is on, or prefer the anti-affinity instead of requiring it"
	case noCompany:
		return "have room beside the pods that it needs, or prefer the affinity instead of requiring it"
	case uneven:
		return "raise maxSkew, or set nodeTaintsPolicy to Honor so that a cordoned node does not count"
	}
	return ""
}

func quantity(name string, n int64) string {
	switch corev1.ResourceName(name) {
	case corev1.ResourceCPU:
		return resource.NewMilliQuantity(n, resource.DecimalSI).String()
	case corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return resource.NewQuantity(n, resource.BinarySI).String()
	}
	return fmt.Sprint(n)
}
