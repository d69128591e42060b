# METADATA
# title: Every node has the target's version at the end
# description: >-
#   When an upgrade is over, every API server and every kubelet is of the version that it went to. A node
#   that was left out is found out by the next upgrade at the latest.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/
# custom:
#   severity: error
#   scope: run
#   needs: [upgrade]
#   remedy: >-
#     Upgrade the nodes that are named.
package seatrial.nodes.all_at_version

import data.seatrial.lib.upgrades
import data.seatrial.lib.version

subjects contains sprintf("node/%s", [name]) if {
	target
	some name, _ in data.world.nodes
}

subjects contains subject if {
	target
	some subject, _ in version.of("kube-apiserver")
}

deny contains {"subject": sprintf("node/%s", [name]), "msg": msg} if {
	some name, node in data.world.nodes
	not is(node.kubeletVersion)
	msg := sprintf("its kubelet is %s at the end, and the upgrade went to %s", [node.kubeletVersion, target])
}

deny contains {"subject": subject, "msg": msg} if {
	some subject, server in version.of("kube-apiserver")
	not is(server.version)
	msg := sprintf("is %s at the end, and the upgrade went to %s", [server.version, target])
}

# A target that is a minor is any patch of it, and the same one everywhere.
is(v) if v == target

is(v) if {
	startswith(v, concat("", [target, "."]))
	v == max({s.version | some s in version.of("kube-apiserver")})
}

# The target of the last hop of a cluster: those of single nodes are not the cluster's.
target := last.options.to if {
	hops := {hop | some hop in upgrades.hops; not hop.options.node}
	some last in hops
	every hop in hops { upgrades.place(hop) <= upgrades.place(last) }
}
