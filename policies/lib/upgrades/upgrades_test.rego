package seatrial.lib.upgrades_test

import data.seatrial.lib.upgrades

tree := {"plan": {"ops": [{"id": "roll", "number": "3", "action": "hop", "ops": [
	{"id": "roll/cp-1/apply", "number": "3.2", "action": "apply"},
	{"id": "roll/cp-1/kubelet", "number": "3.10", "action": "kubelet"},
]}]}}

test_upgrades if {
	{upgrades.subject(op) | some op in upgrades.hops} == {"op/roll"} with input as tree
	{op.id | some op in upgrades.applies} == {"roll/cp-1/apply"} with input as tree
	{op.id | some op in upgrades.kubelets} == {"roll/cp-1/kubelet"} with input as tree
	upgrades.place({"number": "3.2"}) < upgrades.place({"number": "3.10"})
	upgrades.control_planes == {"cp-1"} with data.world as {"nodes": {"cp-1": {"role": "control-plane"}, "worker-1": {"role": "worker"}}}
}
