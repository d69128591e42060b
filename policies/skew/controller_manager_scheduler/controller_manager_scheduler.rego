# METADATA
# title: No controller manager or scheduler is newer than its API server, or two minors older
# description: >-
#   kube-controller-manager and kube-scheduler must not be newer than the API server that they talk to,
#   which under kubeadm is the one of their own node, and may be one minor older.
# related_resources:
# - ref: https://kubernetes.io/releases/version-skew-policy/#kube-controller-manager-kube-scheduler-and-cloud-controller-manager
# custom:
#   severity: error
#   scope: moment
#   on: [components]
#   needs: [upgrade, upgradeNode]
#   remedy: >-
#     Upgrade the API server of a node before the other components of its control plane.
package seatrial.skew.controller_manager_scheduler

import data.seatrial.lib.version

subjects contains subject if some subject, _ in pairs

deny contains {"subject": subject, "msg": msg} if {
	some subject, pair in pairs
	ahead := version.minor(pair.version) - version.minor(pair.server)
	ahead > 0
	msg := sprintf("is %s, newer than the API server of its node, which is %s", [pair.version, pair.server])
}

deny contains {"subject": subject, "msg": msg} if {
	some subject, pair in pairs
	behind := version.minor(pair.server) - version.minor(pair.version)
	behind > 1
	msg := sprintf("is %s, %d minors older than the API server of its node; at most one is allowed", [pair.version, behind])
}

pairs[subject] := {"version": c.version, "server": server.version} if {
	some name in {"kube-controller-manager", "kube-scheduler"}
	some subject, c in version.of(name)
	some server in version.of("kube-apiserver")
	server.node == c.node
}
