# METADATA
# title: No kube-proxy is newer than an API server, or too old for it or its kubelet
# description: >-
#   kube-proxy must not be newer than the oldest API server, may be up to three minors older than the
#   newest, and within three minors of the kubelet of its node. kubeadm upgrades it when the last control
#   plane has the new version.
# related_resources:
# - ref: https://kubernetes.io/releases/version-skew-policy/#kube-proxy
# - ref: https://github.com/kubernetes/kubernetes/issues/117660
# custom:
#   severity: error
#   scope: moment
#   on: [components, nodes]
#   needs: [upgrade, upgradeNode]
#   params:
#     max:
#       default: 3
#       description: How many minors kube-proxy may be older than the newest API server, or apart from its kubelet. A house rule may be stricter than Kubernetes.
#   remedy: >-
#     Upgrade kube-proxy after all control planes, and before it is three minors behind.
package seatrial.skew.kube_proxy

import data.seatrial.lib.version

subjects contains subject if {
	count(version.served) > 0
	some subject, _ in version.of("kube-proxy")
}

deny contains {"subject": subject, "msg": msg} if {
	some subject, proxy in version.of("kube-proxy")
	version.minor(proxy.version) > min(version.served)
	msg := sprintf("is %s, newer than an API server (%s); upgrade every API server first", [proxy.version, version.oldest])
}

deny contains {"subject": subject, "msg": msg} if {
	some subject, proxy in version.of("kube-proxy")
	behind := max(version.served) - version.minor(proxy.version)
	behind > allowed
	msg := sprintf("is %s, %d minors older than an API server; at most %d are allowed", [proxy.version, behind, allowed])
}

deny contains {"subject": subject, "msg": msg} if {
	some subject, proxy in version.of("kube-proxy")
	kubelet := data.world.nodes[proxy.node].kubeletVersion
	kubelet != ""
	apart := abs(version.minor(kubelet) - version.minor(proxy.version))
	apart > allowed
	msg := sprintf("is %s, %d minors apart from the kubelet of its node, which is %s; at most %d are allowed", [proxy.version, apart, kubelet, allowed])
}

allowed := min({input.params.max, 3})
