# METADATA
# title: The control planes are upgraded before any worker
# description: >-
#   A kubelet must not be newer than an API server, so every control plane gets a version before the
#   first worker does.
# related_resources:
# - ref: https://kubernetes.io/releases/version-skew-policy/#supported-component-upgrade-order
# custom:
#   severity: error
#   scope: plan
#   needs: [upgrade, upgradeNode]
#   remedy: >-
#     Upgrade all control planes first; the step upgrade does.
package seatrial.upgrade.control_plane_first

import data.seatrial.lib.upgrades

subjects contains upgrades.subject(hop) if some hop in upgrades.hops

deny contains {"subject": upgrades.subject(op), "msg": msg} if {
	some op in upgrades.kubelets
	not op.node in upgrades.control_planes
	late := [node | some node in upgrades.control_planes; not applied(node, op)]
	count(late) > 0
	msg := sprintf("brings %s to worker %s before %s has it; upgrade the control planes first", [op.version, op.node, concat(", ", late)])
}

# A version that the cluster was made with needs no op. Which one that is, the first hop says.
applied(node, op) if {
	some apply in upgrades.applies
	apply.node == node
	apply.version == op.version
	upgrades.place(apply) < upgrades.place(op)
}

applied(_, op) if {
	some hop in upgrades.hops
	hop.options.from == op.version
	every other in upgrades.hops { upgrades.place(hop) <= upgrades.place(other) }
}
