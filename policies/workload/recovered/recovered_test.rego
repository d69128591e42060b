package seatrial.workload.recovered_test

import data.seatrial.workload.recovered

world(kind, ready) := of(kind, ready, true)

of(kind, ready, powered) := {
	"nodes": {"n": {"powered": powered}},
	"workloads": {"x/p/web": {"kind": kind, "owner": "", "replicas": 3, "ready": ready, "nodes": {"n": 1}}},
}

test_recovered if {
	recovered.subjects == {"x/p/web"} with data.first as world("deployment", 3) with data.world as world("deployment", 3)
	recovered.deny == set() with data.first as world("deployment", 3) with data.world as world("deployment", 3)
}

test_not_recovered if {
	some finding in recovered.deny with data.first as world("statefulset", 3) with data.world as world("statefulset", 2)
	finding == {"subject": "x/p/web", "msg": "has 2 healthy pods at the end and had 3 when the steps began; it wants 3"}
}

test_worse_than_before if {
	count(recovered.deny) == 1 with data.first as world("replicaset", 2) with data.world as world("replicaset", 0)
}

test_no_better_than_before if {
	recovered.deny == set() with data.first as world("deployment", 2) with data.world as world("deployment", 2)
}

test_on_a_node_without_power if {
	count(recovered.deny) == 1 with data.first as world("deployment", 3) with data.world as of("deployment", 3, false)
}

test_gone if {
	some finding in recovered.deny with data.first as world("daemonset", 3) with data.world as {"workloads": {}}
	contains(finding.msg, "gone")
}

test_an_old_replicaset_is_pruned if {
	count(recovered.deny) == 1 with data.first as world("replicaset", 3) with data.world as {"workloads": {}}
	old := {"workloads": {"x/p/web": {"kind": "replicaset", "owner": "", "replicas": 0, "ready": 0, "nodes": {}}}}
	recovered.deny == set() with data.first as old with data.world as {"workloads": {}}
}

test_a_job_is_meant_to_end if {
	recovered.subjects == set() with data.first as world("job", 1) with data.world as world("job", 0)
}
