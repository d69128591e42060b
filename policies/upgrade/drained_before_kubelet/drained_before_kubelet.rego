# METADATA
# title: A worker is empty when its kubelet changes its minor
# description: >-
#   Upgrading a kubelet to another minor under running pods is not supported: the node is drained first.
#   Pods of DaemonSets and static pods stay, and so do those that are being deleted. Control planes are not looked at: whether they are drained too is the scenario's choice (controlPlanes.drain).
# related_resources:
# - ref: https://kubernetes.io/releases/version-skew-policy/#kubelet-1
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/upgrading-linux-nodes/
# custom:
#   severity: error
#   scope: moment
#   on: [nodes]
#   needs: [upgrade, upgradeNode]
#   mayBeEmpty: true
#   remedy: >-
#     Drain the worker before its kubelet is upgraded, and uncordon it afterwards.
package seatrial.upgrade.drained_before_kubelet

import data.seatrial.lib.version

subjects contains input.event.subject if changed

# Every worker is looked at from the beginning, so that an upgrade that reached none is told from one that was not seen.
subjects contains sprintf("node/%s", [name]) if {
	some name in input.touched.nodes
	data.world.nodes[name].role == "worker"
}

deny contains {"subject": input.event.subject, "msg": msg} if {
	changed
	not input.event.after.cordoned
	msg := sprintf("its kubelet went from %s to %s while new pods could come to it; cordon and drain it first", [input.event.before.kubeletVersion, input.event.after.kubeletVersion])
}

deny contains {"subject": input.event.subject, "msg": msg} if {
	changed
	input.event.after.cordoned
	count(left) > 0
	msg := sprintf("its kubelet went from %s to %s with pods still on it: %s; drain it first", [
		input.event.before.kubeletVersion, input.event.after.kubeletVersion, concat(", ", left),
	])
}

changed if {
	before := input.event.before
	after := input.event.after
	after.role == "worker"
	before.kubeletVersion != ""
	version.minor(after.kubeletVersion) != version.minor(before.kubeletVersion)
}

left contains sprintf("pod/%s", [key]) if {
	some key, pod in data.world.pods
	pod.node == input.event.after.name
	not pod.mirror
	not pod.deleting
	not startswith(pod.controller, "daemonset/")
	not pod.phase in {"Succeeded", "Failed"}
}
