# METADATA
# title: Nothing is downgraded
# description: >-
#   Kubernetes supports no way back: what a newer API server has stored an older one may not be able to
#   read.
# related_resources:
# - ref: https://kubernetes.io/releases/version-skew-policy/
# - ref: https://github.com/k3s-io/k3s/issues/9560
# custom:
#   severity: error
#   scope: plan
#   needs: [upgrade, upgradeNode]
#   remedy: >-
#     Restore a backup of etcd that was taken before the upgrade, with the programs of that day.
package seatrial.upgrade.no_downgrade

import data.seatrial.lib.upgrades

subjects contains upgrades.subject(hop) if some hop in upgrades.hops

deny contains {"subject": upgrades.subject(hop), "msg": msg} if {
	some hop in upgrades.hops
	length := min({count(split(hop.options.from, ".")), count(split(hop.options.to, "."))})
	numbers(hop.options.to, length) < numbers(hop.options.from, length)
	msg := sprintf("goes back from %s to %s", [hop.options.from, hop.options.to])
}

# The numbers that both versions have: one of them may leave its patch to the release store.
numbers(v, length) := [to_number(n) | some i, n in split(trim_prefix(v, "v"), "."); i < length]
