package seatrial.node.uncordoned_at_end_test

import data.seatrial.node.uncordoned_at_end

first := {"nodes": {"worker-1": {"cordoned": false}, "worker-2": {"cordoned": true}}}

test_uncordoned if {
	uncordoned_at_end.subjects == {"node/worker-1"} with data.first as first with data.world as first
	uncordoned_at_end.deny == set() with data.first as first with data.world as first
}

test_left_cordoned if {
	some finding in uncordoned_at_end.deny with data.first as first with data.world as {"nodes": {"worker-1": {"cordoned": true}}}
	finding.subject == "node/worker-1"
}
