# METADATA
# title: Every node has the target's version at the end
# description: >-
#   When an upgrade is over, every API server, controller manager, scheduler and kubelet is of the version that it went to. A node
#   that was left out is found out by the next upgrade at the latest. Where there is no step upgrade, and nodes are upgraded one by one, by steps of their own, the last of these steps says what all should have: one that is meant to stay behind is
#   an exception. Where no node was touched, that is said once and not of each;
#   nor are controller manager and scheduler of a node whose API server was left behind: kubeadm upgrades them after it. One that came up with the target's version and does not
#   work at the end, on a node that has power, is left behind too: another that leads may hide it.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/
# custom:
#   severity: error
#   scope: run
#   needs: [upgrade, upgradeNode]
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
	some name in {"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	some subject, _ in version.of(name)
}

deny contains {"subject": upgrades.subject(last), "msg": msg} if {
	not begun
	others := {v | some v in versions; not is(v)}
	count(others) > 0
	msg := sprintf("upgraded no node: there is still %s at the end, and the upgrade goes to %s", [concat(" and ", sort(others)), target])
}

deny contains {"subject": sprintf("node/%s", [name]), "msg": msg} if {
	begun
	some name, node in data.world.nodes
	not is(node.kubeletVersion)
	msg := sprintf("its kubelet is %s at the end, and the upgrade went to %s", [node.kubeletVersion, target])
}

deny contains {"subject": subject, "msg": msg} if {
	begun
	some subject, server in version.of("kube-apiserver")
	not is(server.version)
	msg := sprintf("is %s at the end, and the upgrade went to %s", [server.version, target])
}

deny contains {"subject": subject, "msg": msg} if {
	begun
	some name in {"kube-controller-manager", "kube-scheduler"}
	some subject, component in version.of(name)
	not is(component.version)
	some server in version.of("kube-apiserver")
	server.node == component.node
	is(server.version)
	msg := sprintf("is %s at the end, and the upgrade went to %s", [component.version, target])
}

deny contains {"subject": subject, "msg": msg} if {
	some op in input.ops
	op.action == "complete"
	op.state == "done"
	some name in {"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	some subject, component in version.of(name)
	is(component.version)
	component.ready == false
	data.world.nodes[component.node].powered
	msg := sprintf("is %s, and its pod is not Ready at the end", [component.version])
}

# An op that changes a node was at least begun.
begun if {
	some op in input.ops
	op.action in {"apply", "kubelet"}
	op.state in {"started", "done", "failed", "errored"}
}

versions := {node.kubeletVersion | some node in data.world.nodes} | {server.version | some server in version.of("kube-apiserver")}

# A target that is a minor is any patch of it, and the same one everywhere.
is(v) if v == target

is(v) if {
	startswith(v, concat("", [target, "."]))
	v == max({s.version | some s in version.of("kube-apiserver")})
}

# The target of the last hop of a cluster; that of the last node where a runbook upgrades one after the other.
target := last.options.to

of_cluster := {hop | some hop in upgrades.hops; not hop.options.node}

hops := of_cluster if count(of_cluster) > 0

hops := upgrades.hops if count(of_cluster) == 0

last := found if {
	some found in hops
	every hop in hops { upgrades.place(hop) <= upgrades.place(found) }
}
