package seatrial.node.uncordoned_at_end_test

import data.seatrial.node.uncordoned_at_end

first := {"nodes": {"worker-1": {"cordoned": false}, "worker-2": {"cordoned": true}}}

test_uncordoned if {
	uncordoned_at_end.subjects == {"node/worker-1"} with data.first as first with data.world as first
	uncordoned_at_end.deny == set() with data.first as first with data.world as first
}

test_left_cordoned if {
	since := {"condition": "nodeCordoned", "subject": "node/worker-1", "open": true}
	some finding in uncordoned_at_end.deny with data.first as first
		with data.world as {"nodes": {"worker-1": {"cordoned": true}}}
		with input as {"intervals": [since]}
	finding.subject == "node/worker-1"
	finding.interval == since
}

test_left_cordoned_since_unknown if {
	some finding in uncordoned_at_end.deny with data.first as first
		with data.world as {"nodes": {"worker-1": {"cordoned": true}}}
		with input as {"intervals": []}
	not finding.interval
}
