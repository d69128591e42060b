# What policies of scope plan ask of a plan and of the world it was made from.
package seatrial.lib.plan

# Only ops that are performed count: an op with children is performed by performing them.
leaves contains op if {
	walk(input.plan.ops, [_, op])
	op.number
	not op.ops
}

drains contains op if {
	some op in leaves
	op.procedure == "drain"
	op.action == "drain"
}

drained_nodes contains op.node if some op in drains

# The budgets are asked only by a drain that evicts.
evicted_nodes contains op.node if {
	some op in drains
	not option(op, "disableEviction")
}

# An option that was left out of the scenario is left out of the plan.
option(op, name) if op.options[name] == true

# A drain leaves DaemonSets alone, and the pods of a ReplicaSet are judged by their Deployment.
workloads[key] := workload if {
	some key, workload in data.world.workloads
	workload.kind != "daemonset"
	workload.owner == ""
}

# How many replicas a workload may have while the plan is performed: those that it has, and those that a step scales it to.
sizes(workload) := {workload.replicas} | scaled(key_of(workload))

scaled(key) := {op.options.replicas |
	some op in leaves
	op.procedure == "scale"
	[kind, name] := split(op.options.object, "/")
	key == sprintf("%s/%s/%s", [kind, op.options.namespace, name])
}

# In a promised world no pod has a node yet, so every workload may be on every node; and what a step scales may come to any node too.
may_be_on(workload, _) if {
	data.world.promised
	max(sizes(workload)) > 0
}

may_be_on(workload, _) if max(scaled(key_of(workload))) > 0

may_be_on(workload, node) if workload.nodes[node] > 0

key_of(workload) := sprintf("%s/%s/%s", [workload.kind, workload.namespace, workload.name])

# Bare pods: those that no workload stands for. Nothing evicts the mirror pod of a static pod, and a finished pod is in nobody's way.
bare_pods[subject] := pod if {
	some key, pod in data.world.pods
	pod.controller == ""
	not pod.mirror
	not pod.phase in {"Succeeded", "Failed"}
	subject := sprintf("pod/%s", [key])
}

# In a promised world a bare pod may be on every node too.
pod_may_be_on(pod, node) if pod.node == node

pod_may_be_on(pod, _) if {
	data.world.promised
	pod.node == ""
}
