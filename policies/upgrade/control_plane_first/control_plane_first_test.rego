package seatrial.upgrade.control_plane_first_test

import data.seatrial.upgrade.control_plane_first as policy

world := {"nodes": {"cp-1": {"role": "control-plane"}, "worker-1": {"role": "worker"}}}

hop(number, node, from, to, ops) := {"id": node, "number": number, "action": "hop", "options": {"from": from, "to": to}, "ops": [object.union(op, {
	"number": sprintf("%s.%d", [number, i + 1]), "node": node, "version": to, "id": sprintf("%s/%s", [node, op.action]),
}) | some i, op in ops]}

control_plane(number) := hop(number, "cp-1", "v1.33", "v1.34", [{"action": "apply"}, {"action": "kubelet"}])

worker(number, from, to) := hop(number, "worker-1", from, to, [{"action": "kubelet"}])

test_in_order if {
	ops := {"plan": {"ops": [control_plane("2"), worker("10", "v1.34", "v1.34")]}}
	policy.subjects == {"op/cp-1", "op/worker-1"} with input as ops with data.world as world
	policy.deny == set() with input as ops with data.world as world
}

test_worker_first if {
	ops := {"plan": {"ops": [worker("2", "v1.33", "v1.34"), control_plane("3")]}}
	some finding in policy.deny with input as ops with data.world as world
	finding.subject == "op/worker-1/kubelet"
	finding.msg == "brings v1.34 to worker worker-1 before cp-1 has it; upgrade the control planes first"
}

test_the_version_of_the_cluster if {
	policy.deny == set() with input as {"plan": {"ops": [worker("2", "v1.34", "v1.34")]}} with data.world as world
}
