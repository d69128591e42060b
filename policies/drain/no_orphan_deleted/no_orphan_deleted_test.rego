package seatrial.drain.no_orphan_deleted_test

import data.seatrial.drain.no_orphan_deleted

pod(controller, deleting) := {
	"namespace": "p", "name": "a", "controller": controller, "deleting": deleting,
	"taken": {"how": "evicted", "node": "worker-1"},
}

moment := {"event": {"kind": "object", "subject": "pod/p/a", "change": "modified"}, "touched": {"pods": ["p/a"]}}

test_owned if {
	world := {"pods": {"p/a": pod("replicaset/p/web-1", true)}}
	no_orphan_deleted.subjects == {"pod/p/a"} with input as moment with data.world as world
	no_orphan_deleted.deny == set() with input as moment with data.world as world
}

test_bare if {
	some finding in no_orphan_deleted.deny with input as moment with data.world as {"pods": {"p/a": pod("", true)}}
	finding.subject == "pod/p/a"
	contains(finding.msg, "no controller")
}

test_bare_but_refused if {
	no_orphan_deleted.deny == set() with input as moment with data.world as {"pods": {"p/a": pod("", false)}}
}
