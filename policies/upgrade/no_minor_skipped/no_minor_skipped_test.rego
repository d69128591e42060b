package seatrial.upgrade.no_minor_skipped_test

import data.seatrial.upgrade.no_minor_skipped

planned(from, to) := {"plan": {"ops": [{"id": "roll", "number": "3", "action": "hop", "options": {"from": from, "to": to}}]}}

test_the_next if {
	no_minor_skipped.subjects == {"op/roll"} with input as planned("v1.33", "v1.34.4")
	no_minor_skipped.deny == set() with input as planned("v1.33", "v1.34.4")
}

test_skipped if {
	no_minor_skipped.deny == {{"subject": "op/roll", "msg": "goes from v1.33 to v1.35 in one go; go through 1.34 first"}} with input as planned("v1.33", "v1.35")
}
