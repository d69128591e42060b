package seatrial.component.not_restarted_test

import data.seatrial.component.not_restarted

world := {"components": {
	"component/cp-1/kube-scheduler": {"restarts": 1, "error": "exit status 2"},
	"component/cp-1/etcd": {"restarts": 0, "error": ""},
}}

test_restarted if {
	count(not_restarted.deny) == 1 with data.world as world with input as {"plan": {"uses": ["drain"]}}
	some finding in not_restarted.deny with data.world as world with input as {"plan": {"uses": ["drain"]}}
	finding.subject == "component/cp-1/kube-scheduler"
	contains(finding.msg, "exit status 2")
}

test_with_a_power_cut if {
	not_restarted.subjects == {"component/cp-1/kube-scheduler", "component/cp-1/etcd"} with data.world as world with input as {"plan": {"uses": ["powerOff"]}}
	not_restarted.deny == set() with data.world as world with input as {"plan": {"uses": ["powerOff"]}}
}
