package seatrial.nodes.all_at_version_test

import data.seatrial.nodes.all_at_version

begun := [{"id": "a/cp-1/apply", "action": "apply", "state": "failed"}]

planned := {"ops": begun, "plan": {"ops": [
	{"id": "a", "number": "2", "action": "hop", "options": {"from": "v1.32", "to": "v1.33"}},
	{"id": "b", "number": "10", "action": "hop", "options": {"from": "v1.33", "to": "v1.34"}},
	{"id": "c", "number": "11", "action": "hop", "options": {"from": "v1.34", "to": "v1.35", "node": "worker-9"}},
]}}

world(kubelet, server) := {
	"nodes": {"worker-1": {"kubeletVersion": kubelet}},
	"components": {
		"component/cp-1/kube-apiserver": {"name": "kube-apiserver", "version": "v1.34.4"},
		"component/cp-2/kube-apiserver": {"name": "kube-apiserver", "version": server},
	},
}

test_all if {
	all_at_version.subjects == {"node/worker-1", "component/cp-1/kube-apiserver", "component/cp-2/kube-apiserver"} with input as planned with data.world as world("v1.34.4", "v1.34.4")
	all_at_version.deny == set() with input as planned with data.world as world("v1.34.4", "v1.34.4")
}

# A runbook that goes from node to node forgets one.
runbook := {"ops": begun, "plan": {"ops": [
	{"id": "c", "number": "2", "action": "hop", "options": {"from": "v1.33", "to": "v1.34", "node": "cp-1"}},
	{"id": "w", "number": "10", "action": "hop", "options": {"from": "v1.34", "to": "v1.34", "node": "worker-9"}},
]}}

test_a_node_that_a_runbook_forgets if {
	"node/worker-1" in all_at_version.subjects with input as runbook with data.world as world("v1.33.13", "v1.34.4")
	all_at_version.deny == {{"subject": "node/worker-1", "msg": "its kubelet is v1.33.13 at the end, and the upgrade went to v1.34"}} with input as runbook with data.world as world("v1.33.13", "v1.34.4")
	all_at_version.deny == set() with input as runbook with data.world as world("v1.34.4", "v1.34.4")
}

test_exact_target if {
	exact := {"ops": begun, "plan": {"ops": [{"id": "b", "number": "1", "action": "hop", "options": {"from": "v1.33", "to": "v1.34.4"}}]}}
	all_at_version.deny == set() with input as exact with data.world as world("v1.34.4", "v1.34.4")
}

test_a_kubelet_left_behind if {
	some finding in all_at_version.deny with input as planned with data.world as world("v1.33.13", "v1.34.4")
	finding == {"subject": "node/worker-1", "msg": "its kubelet is v1.33.13 at the end, and the upgrade went to v1.34"}
}

test_an_api_server_left_behind if {
	some finding in all_at_version.deny with input as planned with data.world as world("v1.34.4", "v1.34.2")
	finding.subject == "component/cp-2/kube-apiserver"
}

test_no_node_was_touched if {
	untouched := object.union(planned, {"ops": [{"id": "a/check", "action": "check", "state": "failed"}, {"id": "a/cp-1/apply", "action": "apply", "state": "skipped"}]})
	all_at_version.deny == {{"subject": "op/b", "msg": "upgraded no node: there is still v1.33.13 at the end, and the upgrade goes to v1.34"}} with input as untouched with data.world as world("v1.33.13", "v1.33.13")
	all_at_version.deny == set() with input as untouched with data.world as world("v1.34.4", "v1.34.4")
}

# with_scheduler is a world with a scheduler on cp-2, beside the API server there.
with_scheduler(scheduler, server) := object.union(world("v1.34.4", server), {"components": {
	"component/cp-2/kube-apiserver": {"name": "kube-apiserver", "node": "cp-2", "version": server},
	"component/cp-2/kube-scheduler": {"name": "kube-scheduler", "node": "cp-2", "version": scheduler},
}})

test_a_scheduler_left_behind if {
	all_at_version.deny == {{"subject": "component/cp-2/kube-scheduler", "msg": "is v1.33.13 at the end, and the upgrade went to v1.34"}} with input as planned with data.world as with_scheduler("v1.33.13", "v1.34.4")
	all_at_version.deny == set() with input as planned with data.world as with_scheduler("v1.34.4", "v1.34.4")
	"component/cp-2/kube-scheduler" in all_at_version.subjects with input as planned with data.world as with_scheduler("v1.34.4", "v1.34.4")
}

# kubeadm stopped at the API server: that is said of it alone.
test_a_control_plane_left_behind if {
	{f.subject | some f in all_at_version.deny} == {"component/cp-2/kube-apiserver"} with input as planned with data.world as with_scheduler("v1.33.13", "v1.33.13")
}

# stopped is a world whose scheduler on cp-2 is at the target, and not Ready.
stopped(powered) := object.union(with_scheduler("v1.34.4", "v1.34.4"), {
	"nodes": {"cp-2": {"kubeletVersion": "v1.34.4", "powered": powered}},
	"components": {"component/cp-2/kube-scheduler": {"ready": false}},
})

test_a_scheduler_that_does_not_work if {
	whole := object.union(planned, {"ops": array.concat(begun, [{"id": "b/complete", "action": "complete", "state": "done"}])})
	all_at_version.deny == {{"subject": "component/cp-2/kube-scheduler", "msg": "is v1.34.4, and its pod is not Ready at the end"}} with input as whole with data.world as stopped(true)
	all_at_version.deny == set() with input as whole with data.world as stopped(false)
	all_at_version.deny == set() with input as planned with data.world as stopped(true)
}
