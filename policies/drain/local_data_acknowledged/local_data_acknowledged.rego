# METADATA
# title: Local data on a node to be drained is given up knowingly
# description: >-
#   The data of an emptyDir volume goes with its pod. kubectl drain refuses to evict such a pod unless
#   it is told that the data may go.
# related_resources:
# - ref: https://kubernetes.io/docs/concepts/storage/volumes/#emptydir
# custom:
#   severity: error
#   scope: plan
#   needs: [drain]
#   remedy: >-
#     Say deleteEmptyDirData: true when the data may be lost, or keep it in a PersistentVolume.
package seatrial.drain.local_data_acknowledged

import data.seatrial.lib.plan

subjects contains sprintf("node/%s", [op.node]) if some op in plan.drains

subjects contains key if some key, _ in in_reach

deny contains {"subject": key, "msg": msg} if {
	some key, ops in in_reach
	msg := sprintf("keeps data in an emptyDir, which %s would delete; say deleteEmptyDirData: true if it may be lost", [concat(" and ", ops)])
}

in_reach[key] contains op.id if {
	some key, workload in plan.workloads
	workload.emptyDir
	some op in careful
	plan.may_be_on(workload, op.node)
}

in_reach[key] contains op.id if {
	some key, pod in plan.bare_pods
	pod.emptyDir
	some op in careful
	plan.pod_may_be_on(pod, op.node)
}

# The drains that were not told that local data may go.
careful contains op if {
	some op in plan.drains
	not plan.option(op, "deleteEmptyDirData")
}
