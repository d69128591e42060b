package seatrial.drain.daemonset_untouched_test

import data.seatrial.drain.daemonset_untouched

pod(controller) := {
	"namespace": "p", "name": "a", "controller": controller, "deleting": true,
	"taken": {"how": "deleted", "node": "worker-1"},
}

moment := {"event": {"kind": "object", "subject": "pod/p/a", "change": "modified"}, "touched": {"pods": ["p/a"]}}

test_of_a_replicaset if {
	world := {"pods": {"p/a": pod("replicaset/p/web-1")}}
	daemonset_untouched.subjects == {"pod/p/a"} with input as moment with data.world as world
	daemonset_untouched.deny == set() with input as moment with data.world as world
}

test_of_a_daemonset if {
	some finding in daemonset_untouched.deny with input as moment with data.world as {"pods": {"p/a": pod("daemonset/p/log")}}
	finding.subject == "pod/p/a"
	contains(finding.msg, "daemonset/p/log puts it right back")
}
