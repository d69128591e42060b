# METADATA
# title: An upgrade skips no minor
# description: >-
#   An API server must go through every minor: stored objects and removed fields are converted on the way
#   and not over a gap, and kubeadm refuses it.
# related_resources:
# - ref: https://kubernetes.io/releases/version-skew-policy/#kube-apiserver-1
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/
# custom:
#   severity: error
#   scope: plan
#   needs: [upgrade, upgradeNode]
#   remedy: >-
#     Upgrade a minor at a time: leave hops at its default, through.
package seatrial.upgrade.no_minor_skipped

import data.seatrial.lib.upgrades
import data.seatrial.lib.version

subjects contains upgrades.subject(hop) if some hop in upgrades.hops

deny contains {"subject": upgrades.subject(hop), "msg": msg} if {
	some hop in upgrades.hops
	from := version.minor(hop.options.from)
	to := version.minor(hop.options.to)
	to > from + 1
	msg := sprintf("goes from %s to %s in one go; go through 1.%d first", [hop.options.from, hop.options.to, from + 1])
}
