package seatrial.upgrade.drained_before_kubelet_test

import data.seatrial.upgrade.drained_before_kubelet as policy

node(version, cordoned, role) := {"name": "worker-1", "kubeletVersion": version, "cordoned": cordoned, "role": role}

moment(before, after) := {"event": {"subject": "node/worker-1", "before": before, "after": after}, "touched": {"nodes": ["worker-1"]}}

pod(fields) := object.union({"node": "worker-1", "mirror": false, "deleting": false, "controller": "replicaset/p/web", "phase": "Running"}, fields)

empty := {
	"nodes": {"worker-1": {"role": "worker"}},
	"pods": {
		"p/daemon": pod({"controller": "daemonset/p/log"}), "p/static": pod({"mirror": true}), "p/going": pod({"deleting": true}),
		"p/done": pod({"phase": "Succeeded"}), "p/elsewhere": pod({"node": "worker-2"}),
	},
}

full := object.union(empty, {"pods": {"p/web": pod({})}})

test_drained if {
	change := moment(node("v1.33.13", true, "worker"), node("v1.34.4", true, "worker"))
	policy.subjects == {"node/worker-1"} with input as change with data.world as empty
	policy.deny == set() with input as change with data.world as empty
}

test_pods_left if {
	some finding in policy.deny with data.world as full
		with input as moment(node("v1.33.13", true, "worker"), node("v1.34.4", true, "worker"))
	finding.subject == "node/worker-1"
	contains(finding.msg, "with pods still on it: pod/p/web;")
}

test_not_cordoned if {
	some finding in policy.deny with data.world as full
		with input as moment(node("v1.33.13", false, "worker"), node("v1.34.4", false, "worker"))
	contains(finding.msg, "while new pods could come to it")
}

test_a_patch_and_a_control_plane if {
	policy.deny == set() with data.world as full with input as moment(node("v1.34.2", false, "worker"), node("v1.34.4", false, "worker"))
	policy.deny == set() with data.world as full with input as moment(node("v1.33.13", false, "control-plane"), node("v1.34.4", false, "control-plane"))
}
