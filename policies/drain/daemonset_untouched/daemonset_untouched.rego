# METADATA
# title: A drain leaves the pods of DaemonSets alone
# description: >-
#   The DaemonSet controller ignores cordons and puts the pod right back, so taking it interrupts the
#   node for nothing. A drain that took nothing leaves nothing to look at.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
# custom:
#   severity: error
#   scope: moment
#   on: [takings]
#   needs: [drain]
#   mayBeEmpty: true
#   remedy: >-
#     Drain with ignoreDaemonSets, and do not evict or delete DaemonSet pods by other means.
package seatrial.drain.daemonset_untouched

import data.seatrial.lib.pods

subjects contains pods.name(pod) if some pod in pods.taken

deny contains {"subject": pods.name(pod), "msg": msg} if {
	some pod in pods.taken
	pod.deleting
	startswith(pod.controller, "daemonset/")
	msg := sprintf("was %s from node %s, but %s puts it right back; drain with ignoreDaemonSets", [pod.taken.how, pod.taken.node, pod.controller])
}
