# METADATA
# title: No pod is deleted that nothing brings back
# description: >-
#   A drain with force also takes pods that no controller owns. They are gone for good. A drain that
#   took nothing leaves nothing to look at.
# related_resources:
# - ref: https://kubernetes.io/docs/reference/kubectl/generated/kubectl_drain/
# custom:
#   severity: error
#   scope: moment
#   on: [takings]
#   needs: [drain]
#   mayBeEmpty: true
#   remedy: >-
#     Put the pod under a controller (a Deployment, StatefulSet or Job), or drain without force and move
#     it by hand.
package seatrial.drain.no_orphan_deleted

import data.seatrial.lib.pods

subjects contains pods.name(pod) if some pod in pods.taken

# An eviction that the budgets refuse deletes nothing, so only a pod that is on its way out counts.
deny contains {"subject": pods.name(pod), "msg": msg} if {
	some pod in pods.taken
	pod.deleting
	pod.controller == ""
	msg := sprintf("was %s from node %s, and no controller brings it back; put it under one, or drain without force", [pod.taken.how, pod.taken.node])
}
