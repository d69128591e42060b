# METADATA
# title: Workloads that were whole are whole again
# description: >-
#   Every Deployment, StatefulSet and DaemonSet that had all its replicas healthy when the steps began
#   has all that it wants at their end. What was not whole before is not judged, and a cluster without
#   workloads has nothing to lose.
# related_resources:
# - ref: https://kubernetes.io/docs/concepts/workloads/
# custom:
#   severity: error
#   scope: run
#   mayBeEmpty: true
#   remedy: >-
#     Leave room for the evicted pods on the other nodes, and wait for the workload before the steps end.
package seatrial.workload.recovered

subjects contains key if some key in whole

deny contains {"subject": key, "msg": msg} if {
	some key in whole
	workload := data.world.workloads[key]
	workload.ready < workload.replicas
	msg := sprintf("has %d of %d replicas healthy at the end, and had them all at the start", [workload.ready, workload.replicas])
}

deny contains {"subject": key, "msg": "was there at the start and is gone at the end"} if {
	some key in whole
	not data.world.workloads[key]
}

# The ReplicaSets of a Deployment come and go with its roll-outs.
whole contains key if {
	some key, workload in data.first.workloads
	workload.kind in {"deployment", "statefulset", "daemonset"}
	workload.owner == ""
	workload.ready >= workload.replicas
}
