# METADATA
# title: A node is cordoned before its pods are taken
# description: >-
#   Pods that are evicted from a node that still takes new ones may be scheduled right back onto it, and
#   are evicted again. A drain cordons first. Drains that took no pod at all rehearsed nothing, and
#   that is Unknown.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
# custom:
#   severity: error
#   scope: moment
#   on: [takings]
#   needs: [drain]
#   remedy: >-
#     Cordon the node before its pods are evicted or deleted; the steps drain and cordon do.
package seatrial.drain.cordon_before_evict

import data.seatrial.lib.pods

subjects contains pods.name(pod) if some pod in pods.taken

deny contains {"subject": pods.name(pod), "msg": msg} if {
	some pod in pods.taken
	not pod.taken.nodeCordoned
	msg := sprintf("was %s from node %s, which was not cordoned: its replacement may land on the same node; cordon first", [pod.taken.how, pod.taken.node])
}
