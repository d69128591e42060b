package run

import (
	"fmt"
	"maps"
	"slices"

	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

// explainDifferences notes where the cluster that was found differs from the one that the scenario promised.
func (r *rehearsal) explainDifferences(found *world.World) error {
	for _, d := range differences(r.promised, found) {
		fmt.Fprintf(r.Progress, "note: %s\n", d)
		if err := r.record(trace.Event{Kind: trace.KindNote, Subject: "run/" + r.ID, Change: trace.Differs}, map[string]string{"note": d}); err != nil {
			return err
		}
	}
	return nil
}

// differences compares what was promised with what was found. What is only in the cluster, such as its own workloads, is none.
func differences(promised, found *world.World) []string {
	var all []string
	note := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(promised.Nodes)) {
		switch n := found.Nodes[name]; {
		case n == nil:
			note("node/%s was promised and is not there", name)
		case n.Ready != "True":
			note("node/%s is not Ready: %s", name, n.Ready)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(promised.Workloads)) {
		want, have := promised.Workloads[key], found.Workloads[key]
		switch {
		case have == nil:
			note("%s was promised and is not there", key)
		case want.Kind != "daemonset" && have.Replicas != want.Replicas:
			note("%s wants %d replicas, %d were promised", key, have.Replicas, want.Replicas)
		case have.Ready < have.Replicas:
			note("%s has %d of %d pods healthy before the first step", key, have.Ready, have.Replicas)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(promised.Budgets)) {
		want, have := promised.Budgets[key], found.Budgets[key]
		switch {
		case have == nil:
			note("%s was promised and is not there", want.Subject())
		case have.Desired != want.Desired && (len(want.Workloads) > 0 || want.Pods > 0):
			note("%s desires %d healthy pods, %d were promised", have.Subject(), have.Desired, want.Desired)
		}
	}
	return all
}
