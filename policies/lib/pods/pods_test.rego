package seatrial.lib.pods_test

import data.seatrial.lib.pods

test_touched_and_taken if {
	world := {"pods": {
		"p/a": {"namespace": "p", "name": "a", "taken": {"how": "evicted"}},
		"p/b": {"namespace": "p", "name": "b", "taken": {"how": "lost"}},
		"p/c": {"namespace": "p", "name": "c"},
		"p/untouched": {"namespace": "p", "name": "untouched", "taken": {"how": "evicted"}},
	}}
	moment := {"event": {"kind": "object", "subject": "pod/p/a", "change": "modified"}, "touched": {"pods": ["p/a", "p/b", "p/c"]}}
	{pods.name(pod) | some pod in pods.touched} == {"pod/p/a", "pod/p/b", "pod/p/c"} with input as moment with data.world as world
	{pods.name(pod) | some pod in pods.taken} == {"pod/p/a"} with input as moment with data.world as world
}

test_a_pod_that_is_gone_at_once if {
	moment := {
		"event": {"kind": "object", "subject": "pod/p/a", "change": "deleted", "before": {"namespace": "p", "name": "a", "deleting": false}},
		"touched": {"pods": ["p/a"]},
	}
	pods.touched == {{"namespace": "p", "name": "a", "deleting": true}} with input as moment with data.world as {"pods": {}}
}
