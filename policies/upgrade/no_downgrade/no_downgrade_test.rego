package seatrial.upgrade.no_downgrade_test

import data.seatrial.upgrade.no_downgrade

planned(from, to) := {"plan": {"ops": [{"id": "roll", "number": "3", "action": "hop", "options": {"from": from, "to": to}}]}}

test_forward if {
	no_downgrade.subjects == {"op/roll"} with input as planned("v1.33.13", "v1.34")
	no_downgrade.deny == set() with input as planned("v1.33.13", "v1.34")
	no_downgrade.deny == set() with input as planned("v1.34.2", "v1.34.4")
	no_downgrade.deny == set() with input as planned("v1.34.4", "v1.34")
}

test_back if {
	no_downgrade.deny == {{"subject": "op/roll", "msg": "goes back from v1.34 to v1.33.13"}} with input as planned("v1.34", "v1.33.13")
	count(no_downgrade.deny) == 1 with input as planned("v1.34.4", "v1.34.2")
}

test_another_hop_that_leaves_the_patch_open if {
	both := {"plan": {"ops": array.concat(planned("v1.33.9", "v1.33.2").plan.ops, [{"id": "next", "number": "4", "action": "hop", "options": {"from": "v1.33.2", "to": "v1.33"}}])}}
	{finding.subject | some finding in no_downgrade.deny} == {"op/roll"} with input as both
}
