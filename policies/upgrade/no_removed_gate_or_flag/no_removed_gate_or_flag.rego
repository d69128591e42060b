# METADATA
# title: No component has a flag or a feature gate that the new version does not know
# description: >-
#   A feature gate is removed some versions after its feature became generally available, and a flag after its deprecation. A
#   component that still has one ends at once when it is started as the new version. Before the first step each program of
#   the new version is asked: it reads the flags with which the one of now runs, a kubelet its configuration file too.
# related_resources:
# - ref: https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates-removed/
# - ref: https://kubernetes.io/docs/reference/using-api/deprecation-policy/#deprecating-a-flag-or-cli
# - ref: https://github.com/kubernetes/kubeadm/issues/3193
# custom:
#   severity: error
#   scope: plan
#   needs: [upgrade, upgradeNode]
#   mayBeEmpty: true
#   remedy: >-
#     Take the flag or the gate out of the component's configuration before the upgrade; the changelog of the new version
#     says what took its place.
package seatrial.upgrade.no_removed_gate_or_flag

import data.seatrial.lib.upgrades

subjects contains check.component if some check in data.world.flags

deny contains {"subject": check.component, "msg": msg} if {
	some check in data.world.flags
	check.refusal != ""
	some hop in upgrades.hops
	hop.options.to == check.version
	msg := sprintf("would not start as %s with the flags that it has: %s", [check.version, check.refusal])
}

# What manifests promise can't be asked; a cluster can.
unknown contains {"subject": upgrades.subject(hop), "msg": msg} if {
	not data.world.promised
	some hop in upgrades.hops
	not asked(hop.options.to)
	msg := sprintf("no program of %s was asked whether it takes the flags of now", [hop.options.to])
}

asked(version) if {
	some check in data.world.flags
	check.version == version
}
