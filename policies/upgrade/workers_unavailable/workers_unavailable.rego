# METADATA
# title: No more workers are unavailable at once than the upgrade may have
# description: >-
#   A worker is unavailable while it is cordoned, not Ready or without power. An upgrade may have maxUnavailable of them
#   at a time, which is the number that it works on at a time unless the scenario says less.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/
# custom:
#   severity: error
#   scope: moment
#   on: [nodes]
#   needs: [upgrade]
#   remedy: >-
#     Work on fewer workers at a time (workers.parallel), or allow more (workers.maxUnavailable) when the rest can carry the load.
package seatrial.upgrade.workers_unavailable

import data.seatrial.lib.upgrades

subjects contains upgrades.subject(hop) if {
	some hop in upgrades.hops
	hop.options.maxUnavailable
}

deny contains {"subject": upgrades.subject(hop), "msg": msg} if {
	some hop in upgrades.hops
	count(unavailable) > hop.options.maxUnavailable
	startswith(concat("", [input.op, "/"]), concat("", [hop.id, "/"]))
	msg := sprintf("has more than %d workers unavailable at once, which is what it may have", [hop.options.maxUnavailable])
}

unavailable contains name if {
	some name, node in data.world.nodes
	node.role == "worker"
	not available(node)
}

available(node) if {
	not node.cordoned
	node.ready == "True"
	node.powered
}
