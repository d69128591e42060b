# METADATA
# title: Workloads end as they began
# description: >-
#   Every workload has as many healthy pods when the steps end as when they began, or as many as it
#   wants by then. A pod on a node without power is not healthy, whatever the API still says of it.
# related_resources:
# - ref: https://kubernetes.io/docs/concepts/workloads/
# custom:
#   severity: error
#   scope: run
#   mayBeEmpty: true
#   remedy: >-
#     Leave room for the evicted pods on the other nodes, and wait for the workload before the steps end.
package seatrial.workload.recovered

subjects contains key if some key, _ in first

deny contains {"subject": key, "msg": msg} if {
	some key, before in first
	workload := data.world.workloads[key]
	wanted := min({healthy(data.first, before), workload.replicas})
	now := healthy(data.world, workload)
	now < wanted
	msg := sprintf("has %d healthy pods at the end and had %d when the steps began; it wants %d", [now, healthy(data.first, before), workload.replicas])
}

deny contains {"subject": key, "msg": "was there at the start and is gone at the end"} if {
	some key, workload in first
	not data.world.workloads[key]
	not outdated(workload)
}

# Custom resources prune old ReplicaSets, as Deployments do.
outdated(workload) if {
	workload.kind == "replicaset"
	workload.replicas == 0
}

# The ReplicaSets of a Deployment come and go with its roll-outs, and a Job is meant to end.
first[key] := workload if {
	some key, workload in data.first.workloads
	workload.kind != "job"
	workload.owner == ""
}

healthy(world, workload) := max({0, workload.ready - sum([n | some node, n in workload.nodes; not powered(world, node)])})

powered(world, node) if world.nodes[node].powered
