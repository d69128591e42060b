package seatrial.drain.cordon_before_evict_test

import data.seatrial.drain.cordon_before_evict

pod(cordoned) := {"namespace": "p", "name": "a", "taken": {"how": "evicted", "node": "worker-1", "nodeCordoned": cordoned}}

moment := {"event": {"kind": "fact"}, "touched": {"pods": ["p/a"]}}

test_cordoned if {
	cordon_before_evict.subjects == {"pod/p/a"} with input as moment with data.world as {"pods": {"p/a": pod(true)}}
	cordon_before_evict.deny == set() with input as moment with data.world as {"pods": {"p/a": pod(true)}}
}

test_not_cordoned if {
	some finding in cordon_before_evict.deny with input as moment with data.world as {"pods": {"p/a": pod(false)}}
	finding.subject == "pod/p/a"
	contains(finding.msg, "worker-1")
}

test_a_pod_that_nobody_takes if {
	cordon_before_evict.subjects == set() with input as moment with data.world as {"pods": {"p/a": {"namespace": "p", "name": "a"}}}
}
