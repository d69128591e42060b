# METADATA
# title: No kubelet is newer than an API server, or too old for one
# description: >-
#   A kubelet may never be newer than the oldest API server that it may talk to, and may be up to three
#   minors older (two when the API server is before 1.28). Where there are several API servers behind a
#   balancer, the oldest and the newest of them count.
# related_resources:
# - ref: https://kubernetes.io/releases/version-skew-policy/#kubelet
# custom:
#   severity: error
#   scope: moment
#   on: [nodes, components]
#   needs: [upgrade, upgradeNode]
#   params:
#     max:
#       default: 3
#       description: How many minors a kubelet may be older than the newest API server. A house rule may be stricter than Kubernetes.
#   remedy: >-
#     Upgrade all control planes before the kubelets, and the kubelets before the next minor but two.
package seatrial.skew.kubelet

import data.seatrial.lib.version

subjects contains subject(name) if {
	count(version.served) > 0
	some name, _ in kubelets
}

deny contains {"subject": subject(name), "msg": msg} if {
	some name, node in kubelets
	version.minor(node.kubeletVersion) > min(version.served)
	msg := sprintf("kubelet %s is newer than an API server (%s); upgrade every API server first", [node.kubeletVersion, version.oldest])
}

deny contains {"subject": subject(name), "msg": msg} if {
	some name, node in kubelets
	behind := max(version.served) - version.minor(node.kubeletVersion)
	behind > allowed
	msg := sprintf("kubelet %s is %d minors older than an API server; at most %d are allowed", [node.kubeletVersion, behind, allowed])
}

allowed := min({input.params.max, 3}) if max(version.served) >= 28

allowed := min({input.params.max, 2}) if max(version.served) < 28

kubelets[name] := node if {
	some name, node in data.world.nodes
	node.kubeletVersion != ""
}

subject(name) := sprintf("node/%s", [name])
