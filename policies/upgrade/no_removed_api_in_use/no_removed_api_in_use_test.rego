package seatrial.upgrade.no_removed_api_in_use_test

import data.seatrial.upgrade.no_removed_api_in_use as policy

world(removed, objects) := {"apis": {"api/policy/v1beta1/budgets": {"removedRelease": removed, "objects": objects}}}

through := {"plan": {"ops": [
	{"id": "up/v1-34", "number": "1", "action": "hop", "options": {"from": "v1.33", "to": "v1.34"}},
	{"id": "up/v1-35", "number": "2", "action": "hop", "options": {"from": "v1.34", "to": "v1.35.2"}},
]}}

messages(w) := {finding.msg | some finding in policy.deny with data.world as w with input as through}

test_not_in_use if {
	policy.subjects == set() with data.world as {"apis": {}}
	messages({"apis": {}}) == set()
}

test_removed_later if {
	policy.subjects == {"api/policy/v1beta1/budgets"} with data.world as world("1.36", [])
	messages(world("1.36", [])) == set()
	messages(world("", [])) == set()
}

test_removed_on_the_way if {
	messages(world("1.35", [])) == {"was requested, and v1.35.2, to which up/v1-35 goes, does not serve it"}
	messages(world("1.35", ["p/web by [helm]"])) == {"was requested, and v1.35.2, to which up/v1-35 goes, does not serve it; written through it: p/web by [helm]"}
	count(messages(world("1.34", []))) == 2
}
