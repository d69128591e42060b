# METADATA
# title: kubeadm works only on versions that it knows
# description: >-
#   Components may be of kubeadm's own minor or of the one before, and a node's kubelet of its own or up to three before. kubeadm
#   is looked at each time before it works on a node, with the API servers and the kubelet as they are then.
# related_resources:
# - ref: https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/#version-skew-policy
# custom:
#   severity: error
#   scope: moment
#   on: [kubeadms]
#   needs: [upgrade, upgradeNode]
#   mayBeEmpty: true
#   params:
#     max:
#       default: 3
#       description: How many minors a node's kubelet may be older than its kubeadm. A house rule may be stricter than Kubernetes.
#   remedy: >-
#     Install the kubeadm of the version that comes next after the API servers', on every node before it is upgraded.
package seatrial.skew.kubeadm

import data.seatrial.lib.version

subjects contains subject(kubeadm) if some kubeadm in working

deny contains {"subject": subject(kubeadm), "msg": msg} if {
	some kubeadm in working
	version.minor(kubeadm.version) < max(version.served)
	msg := sprintf("kubeadm %s is older than an API server of minor %d; install that minor's", [kubeadm.version, max(version.served)])
}

deny contains {"subject": subject(kubeadm), "msg": msg} if {
	some kubeadm in working
	ahead := version.minor(kubeadm.version) - min(version.served)
	ahead > 1
	msg := sprintf("kubeadm %s is %d minors newer than an API server (%s); at most 1 is allowed", [kubeadm.version, ahead, version.oldest])
}

deny contains {"subject": subject(kubeadm), "msg": msg} if {
	some kubeadm in working
	kubelet := data.world.nodes[kubeadm.node].kubeletVersion
	version.minor(kubelet) > version.minor(kubeadm.version)
	msg := sprintf("kubeadm %s is older than the node's kubelet %s", [kubeadm.version, kubelet])
}

deny contains {"subject": subject(kubeadm), "msg": msg} if {
	some kubeadm in working
	kubelet := data.world.nodes[kubeadm.node].kubeletVersion
	behind := version.minor(kubeadm.version) - version.minor(kubelet)
	behind > min({input.params.max, 3})
	msg := sprintf("kubelet %s is %d minors older than kubeadm %s; at most %d are allowed", [kubelet, behind, kubeadm.version, min({input.params.max, 3})])
}

# Those that are about to work on a node now.
working contains data.world.kubeadms[name] if some name in input.touched.kubeadms

subject(kubeadm) := sprintf("node/%s", [kubeadm.node])
