package seatrial.upgrade.no_removed_gate_or_flag_test

import data.seatrial.upgrade.no_removed_gate_or_flag as policy

plan := {"plan": {"ops": [{"id": "roll", "number": "1", "action": "hop", "options": {"from": "v1.33", "to": "v1.34"}}]}}

check(version, refusal) := {"component": "component/cp-1/kube-apiserver", "version": version, "refusal": refusal}

world(checks) := {"promised": false, "flags": {sprintf("%d", [i]): c | some i, c in checks}}

test_taken if {
	w := world([check("v1.34", "")])
	policy.subjects == {"component/cp-1/kube-apiserver"} with data.world as w with input as plan
	policy.deny == set() with data.world as w with input as plan
	policy.unknown == set() with data.world as w with input as plan
}

test_refused if {
	w := world([check("v1.34", "unrecognized feature gate: ElasticIndexedJob")])
	some finding in policy.deny with data.world as w with input as plan
	finding.subject == "component/cp-1/kube-apiserver"
	finding.msg == "would not start as v1.34 with the flags that it has: unrecognized feature gate: ElasticIndexedJob"
}

test_not_asked if {
	w := world([check("v1.35", "unknown flag: --x")])
	policy.deny == set() with data.world as w with input as plan
	{finding.subject | some finding in policy.unknown with data.world as w with input as plan} == {"op/roll"}
	policy.unknown == set() with data.world as {"promised": true, "flags": {}} with input as plan
}
