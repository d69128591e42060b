package seatrial.skew.controller_manager_scheduler_test

import data.seatrial.skew.controller_manager_scheduler as policy

world(server, scheduler) := {"components": {
	"component/cp-1/kube-apiserver": {"node": "cp-1", "name": "kube-apiserver", "version": server},
	"component/cp-1/kube-scheduler": {"node": "cp-1", "name": "kube-scheduler", "version": scheduler},
	"component/cp-2/kube-scheduler": {"node": "cp-2", "name": "kube-scheduler", "version": scheduler},
}}

test_older_by_one if {
	policy.subjects == {"component/cp-1/kube-scheduler"} with data.world as world("v1.34.4", "v1.33.13")
	policy.deny == set() with data.world as world("v1.34.4", "v1.33.13")
}

test_newer if {
	some finding in policy.deny with data.world as world("v1.33.13", "v1.34.4")
	finding.subject == "component/cp-1/kube-scheduler"
	contains(finding.msg, "newer than the API server of its node, which is v1.33.13")
}

test_two_older if {
	some finding in policy.deny with data.world as world("v1.35.0", "v1.33.13")
	contains(finding.msg, "2 minors older")
}
