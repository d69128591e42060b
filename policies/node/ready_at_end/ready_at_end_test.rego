package seatrial.node.ready_at_end_test

import data.seatrial.node.ready_at_end as policy

world(ready, powered) := {"nodes": {"worker-1": {"ready": ready, "powered": powered}}}

lost := {"condition": "nodeNotReady", "subject": "node/worker-1", "open": true, "seconds": 14}

given := {"intervals": [lost, {"condition": "nodeNotReady", "subject": "node/worker-1", "open": false, "seconds": 2}, {"condition": "nodeCordoned", "subject": "node/worker-1", "open": true}]}

found(first, last) := findings if {
	findings := policy.deny with data.first as first with data.world as last with input as given
}

test_ready if {
	policy.subjects == {"node/worker-1"} with data.first as world("True", true) with data.world as world("True", true) with input as given
	found(world("True", true), world("True", true)) == set()
}

test_lost if {
	found(world("True", true), world("Unknown", true)) == {{
		"subject": "node/worker-1", "interval": lost,
		"msg": "was Ready when the steps began, and is not at their end: Ready is Unknown",
	}}
}

# Nobody saw when it began.
test_without_interval if {
	{f.subject | some f in policy.deny} == {"node/worker-1"} with data.first as world("True", true) with data.world as world("False", true) with input as {"intervals": []}
}

test_gone if {
	{f.msg | some f in found(world("True", true), {"nodes": {}})} == {"was there when the steps began, and is not at their end"}
}

# Not lost: it was not Ready before, or the rehearsal has cut its power.
test_left_out if {
	found(world("Unknown", true), world("Unknown", true)) == set()
	found(world("True", true), world("Unknown", false)) == set()
}
