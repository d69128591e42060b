package seatrial.drain.budget_allows_progress_test

import data.seatrial.drain.budget_allows_progress

given := {"plan": {"ops": [{"number": "1", "id": "d", "procedure": "drain", "action": "drain", "node": "worker-1", "options": {}}]}}

workload(budgets) := {"kind": "deployment", "namespace": "p", "name": "web", "owner": "", "replicas": 3, "budgets": budgets, "nodes": {"worker-1": 1}}

world(budget) := {
	"promised": false,
	"pods": {},
	"workloads": {"deployment/p/web": workload(["p/web"])},
	"budgets": {"p/web": budget},
}

budget(maximum, minimum, expected, desired) := {
	"maxUnavailable": maximum, "minAvailable": minimum,
	"expected": expected, "desired": desired, "pods": expected, "workloads": ["deployment/p/web"],
}

message(of) := finding.msg if {
	some finding in budget_allows_progress.deny with input as given with data.world as of
	finding.subject == "poddisruptionbudget/p/web"
}

test_room if {
	of := world(budget("1", "", 3, 2))
	budget_allows_progress.subjects == {"node/worker-1", "poddisruptionbudget/p/web"} with input as given with data.world as of
	budget_allows_progress.deny == set() with input as given with data.world as of
}

test_maximum_zero if message(world(budget("0", "", 3, 3))) == concat("", [
	"with maxUnavailable 0 lets none of its 3 pods be evicted, so the drain never ends; ",
	"set maxUnavailable to 1 or more",
])

test_minimum_is_all if contains(message(world(budget("", "3", 3, 3))), "set minAvailable to 2")

test_minimum_of_a_single_replica if contains(message(world(budget("", "1", 1, 1))), "run a second replica")

test_promised if {
	of := object.union(world(budget("", "3", 0, 3)), {"promised": true})
	contains(message(of), "none of its 3 pods")
}

test_not_on_the_node if {
	elsewhere := {"given": {"plan": {"ops": [object.union(given.plan.ops[0], {"node": "worker-2"})]}}}
	budget_allows_progress.subjects == {"node/worker-2"} with input as elsewhere.given with data.world as world(budget("0", "", 3, 3))
	budget_allows_progress.deny == set() with input as elsewhere.given with data.world as world(budget("0", "", 3, 3))
}

test_two_budgets_on_a_workload if {
	of := {
		"promised": false, "pods": {}, "workloads": {"deployment/p/web": workload(["p/one", "p/two"])},
		"budgets": {"p/one": budget("1", "", 3, 2), "p/two": budget("1", "", 3, 2)},
	}
	some finding in budget_allows_progress.deny with input as given with data.world as of
	finding.subject == "deployment/p/web"
	contains(finding.msg, "2 budgets (p/one, p/two)")
}

test_two_budgets_on_a_bare_pod if {
	pod := {"controller": "", "mirror": false, "phase": "Running", "node": "worker-1", "budgets": ["p/one", "p/two"]}
	of := {
		"promised": false, "pods": {"p/a": pod}, "workloads": {},
		"budgets": {"p/one": budget("1", "", 3, 2), "p/two": budget("1", "", 3, 2)},
	}
	some finding in budget_allows_progress.deny with input as given with data.world as of
	finding.subject == "pod/p/a"
}

test_a_drain_that_does_not_ask if {
	bypass := {"plan": {"ops": [object.union(given.plan.ops[0], {"options": {"disableEviction": true}})]}}
	budget_allows_progress.deny == set() with input as bypass with data.world as world(budget("0", "", 3, 3))
}

test_neither_is_set if contains(message(world(budget("", "", 0, 0))), "sets neither")

# The budget has room for the three pods that there are, and none for what the step before the drain scales them to.
scaled_to(n) := {"plan": {"ops": array.concat(
	[{"number": "1", "id": "s", "procedure": "scale", "options": {"object": "deployment/web", "namespace": "p", "replicas": n}}],
	given.plan.ops,
)}}

test_scaled_down if {
	every of, n in {budget("", "2", 3, 2): 2, budget("2", "", 3, 1): 10, budget("", "50%", 3, 2): 1, budget("50%", "", 3, 1): 10} {
		findings := budget_allows_progress.deny with input as scaled_to(n) with data.world as world(of)
		count(findings) == count([1 | n < 10])
	}
}
