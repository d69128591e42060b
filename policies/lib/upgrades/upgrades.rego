# What policies ask of the upgrades in a plan.
package seatrial.lib.upgrades

import data.seatrial.lib.plan

# From one version to the next, for a cluster or for one node.
hops contains op if {
	walk(input.plan.ops, [_, op])
	op.number
	op.action == "hop"
}

subject(op) := sprintf("op/%s", [op.id])

# The ops that change a control plane, and those that change a kubelet.
applies contains op if {
	some op in plan.leaves
	op.action == "apply"
}

kubelets contains op if {
	some op in plan.leaves
	op.action == "kubelet"
}

# Where an op stands in the plan: "3.10" comes after "3.2".
place(op) := [to_number(n) | some n in split(op.number, ".")]

control_planes contains name if {
	some name, node in data.world.nodes
	node.role == "control-plane"
}
