package seatrial.upgrade.roll_possible_test

import data.seatrial.upgrade.roll_possible

given(roll) := {"rolls": {"up/workers": object.union({"parallel": 2, "possible": true, "order": [], "waves": 1, "stuck": [], "fewer": 0, "blockers": []}, roll)}}

test_possible if {
	roll_possible.subjects == {"op/up/workers"} with input as given({})
	roll_possible.deny == set() with input as given({})
}

test_nothing_is_known_of_a_promise if {
	roll_possible.subjects == set() with input as {"rolls": {}}
}

blocker := {"object": "deployment/p/web", "node": "a", "pod": "pod/p/web-1", "reason": "has no place", "change": "add a node"}

test_blocked if {
	roll_possible.deny == {{"subject": "deployment/p/web", "msg": "keeps pod/p/web-1 on a for ever: it has no place", "change": "add a node"}} with input as given({"possible": false, "stuck": ["a"], "blockers": [blocker]})
}

test_too_many_at_once if {
	some finding in roll_possible.deny with input as given({"possible": false, "stuck": ["a", "b"], "fewer": 1})
	finding == {"subject": "op/up/workers", "msg": "waits for ever at a, b, which wait for each other, 2 nodes at a time", "change": "set workers.parallel to 1"}
}

test_wrong_order if {
	many := [sprintf("n-%d", [i]) | some i in numbers.range(1, 22)]
	some finding in roll_possible.deny with input as given({"stuck": many, "order": ["b", "a"]})
	finding.subject == "op/up/workers"
	startswith(finding.msg, "waits for ever at n-1, n-2, ")
	endswith(finding.msg, "n-20 and 2 more in this order")
	finding.change == "set workers.order, to b, a"
}

test_wrong_order_of_control_planes if {
	planes := {"rolls": {"up": object.union(given({}).rolls["up/workers"], {"stuck": ["cp-1"], "order": ["cp-2", "cp-1"]})}}
	some finding in roll_possible.deny with input as planes
	finding.change == "drain them in the order cp-2, cp-1, by steps of their own"
}
