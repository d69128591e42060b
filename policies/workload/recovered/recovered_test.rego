package seatrial.workload.recovered_test

import data.seatrial.workload.recovered

world(kind, ready) := {"workloads": {"x/p/web": {"kind": kind, "owner": "", "replicas": 3, "ready": ready}}}

test_recovered if {
	recovered.subjects == {"x/p/web"} with data.first as world("deployment", 3) with data.world as world("deployment", 3)
	recovered.deny == set() with data.first as world("deployment", 3) with data.world as world("deployment", 3)
}

test_not_recovered if {
	some finding in recovered.deny with data.first as world("statefulset", 3) with data.world as world("statefulset", 2)
	finding == {"subject": "x/p/web", "msg": "has 2 of 3 replicas healthy at the end, and had them all at the start"}
}

test_gone if {
	some finding in recovered.deny with data.first as world("daemonset", 3) with data.world as {"workloads": {}}
	contains(finding.msg, "gone")
}

test_not_whole_before if {
	recovered.subjects == set() with data.first as world("deployment", 2) with data.world as world("deployment", 0)
}
