package seatrial.drain.local_data_acknowledged_test

import data.seatrial.drain.local_data_acknowledged

given(options) := {"plan": {"ops": [{
	"number": "1", "id": "evict", "procedure": "drain", "action": "drain",
	"node": "worker-1", "options": options,
}]}}

world(scratch) := {
	"promised": false,
	"pods": {"p/a": {"controller": "", "mirror": false, "phase": "Running", "node": "worker-1", "emptyDir": scratch}},
	"workloads": {"deployment/p/web": {"kind": "deployment", "owner": "", "emptyDir": scratch, "nodes": {"worker-1": 1}}},
}

test_no_local_data if {
	local_data_acknowledged.subjects == {"node/worker-1"} with input as given({}) with data.world as world(false)
	local_data_acknowledged.deny == set() with input as given({}) with data.world as world(false)
}

test_acknowledged if {
	local_data_acknowledged.deny == set() with input as given({"deleteEmptyDirData": true}) with data.world as world(true)
}

test_not_acknowledged if {
	findings := local_data_acknowledged.deny with input as given({}) with data.world as world(true)
	{f.subject | some f in findings} == {"deployment/p/web", "pod/p/a"}
	local_data_acknowledged.subjects == {"node/worker-1", "deployment/p/web", "pod/p/a"} with input as given({}) with data.world as world(true)
	every f in findings { contains(f.msg, "evict would delete") }
}
