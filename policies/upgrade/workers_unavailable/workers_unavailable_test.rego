package seatrial.upgrade.workers_unavailable_test

import data.seatrial.upgrade.workers_unavailable as policy

worker(cordoned, ready) := {"role": "worker", "cordoned": cordoned, "ready": ready, "powered": true}

given(op) := {"op": op, "plan": {"ops": [
	{"id": "roll", "number": "2", "action": "hop", "options": {"maxUnavailable": 1}},
	{"id": "one", "number": "3", "action": "hop", "options": {"node": "worker-1"}},
]}}

test_one_at_a_time if {
	world := {"nodes": {"a": worker(true, "True"), "b": worker(false, "True"), "cp": {"role": "control-plane", "cordoned": true, "ready": "True"}}}
	policy.subjects == {"op/roll"} with input as given("roll/workers") with data.world as world
	policy.deny == set() with input as given("roll/workers") with data.world as world
}

test_two_at_once if {
	world := {"nodes": {"a": worker(true, "True"), "b": worker(false, "Unknown")}}
	some finding in policy.deny with input as given("roll/workers") with data.world as world
	finding.subject == "op/roll"
	contains(finding.msg, "more than 1 workers unavailable")
}

test_without_power_before_anybody_noticed if {
	world := {"nodes": {"a": worker(true, "True"), "b": object.union(worker(false, "True"), {"powered": false})}}
	count(policy.deny) == 1 with input as given("roll/workers") with data.world as world
}

test_before_the_upgrade if {
	policy.deny == set() with input as given("drain") with data.world as {"nodes": {"a": worker(true, "True"), "b": worker(true, "True")}}
}
