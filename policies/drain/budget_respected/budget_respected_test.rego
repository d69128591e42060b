package seatrial.drain.budget_respected_test

import data.seatrial.drain.budget_respected

budget(healthy, taken) := {"budgets": {"p/web": {"namespace": "p", "name": "web", "healthy": healthy, "desired": 2, "taken": taken}}}

deleted(op, after) := {"pod": "pod/p/a", "how": "deleted", "op": op, "healthyAfter": after}

moment := {"touched": {"budgets": ["p/web"]}}

test_enough if {
	budget_respected.subjects == {"poddisruptionbudget/p/web"} with input as moment with data.world as budget(2, [deleted("d", 2)])
	budget_respected.deny == set() with input as moment with data.world as budget(2, [deleted("d", 2)])
}

test_taken_below if {
	some finding in budget_respected.deny with input as moment with data.world as budget(1, [deleted("evict/worker-1/drain", 1)])
	finding.subject == "poddisruptionbudget/p/web"
	finding.msg == "has 1 healthy pods and desires 2: pod/p/a was deleted by evict/worker-1/drain and left 1"
}

test_taken_by_somebody_else if {
	some finding in budget_respected.deny with input as moment with data.world as budget(1, [deleted("", 1)])
	contains(finding.msg, "was deleted and left 1")
}

test_lost_with_its_node if {
	budget_respected.deny == set() with input as moment with data.world as budget(1, [])
}

# First one was evicted, which the budget allowed; then the power went.
test_evicted_and_then_lost if {
	budget_respected.deny == set() with input as moment with data.world as budget(1, [deleted("d", 2)])
}
