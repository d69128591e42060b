package seatrial.backup.digest_matches_test

import data.seatrial.backup.digest_matches as policy

world(problem, objects) := {"verified": {"backup/nightly": {"problem": problem, "objects": objects}}}

test_holds if {
	policy.subjects == {"backup/nightly"} with data.world as world("", 100)
	policy.deny == set() with data.world as world("", 100)
	policy.unknown == set() with data.world as world("", 100)
}

test_does_not if {
	found := policy.deny with data.world as world("its hash is of other bytes", 0)
	found == {{"subject": "backup/nightly", "msg": "does not hold: its hash is of other bytes"}}
	policy.unknown == set() with data.world as world("its hash is of other bytes", 0)
}

test_empty if {
	doubts := policy.unknown with data.world as world("", 0)
	doubts == {{"subject": "backup/nightly", "msg": "has no objects, so nothing was compared"}}
}
