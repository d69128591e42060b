package seatrial.restore.revision_not_backwards_test

import data.seatrial.restore.revision_not_backwards as policy

world(revision, answered) := {
	"restores": {"restore/drill": {"revision": revision}},
	"etcdEnds": {"etcd/cp-1": {"answered": answered, "revision": 500}, "etcd/cp-2": {"answered": false, "revision": 0}},
}

test_goes_on if {
	policy.subjects == {"restore/drill"} with data.world as world(1000000400, true)
	policy.deny == set() with data.world as world(1000000400, true)
	policy.unknown == set() with data.world as world(1000000400, true)
}

test_goes_back if {
	found := policy.deny with data.world as world(400, true)
	found == {{"subject": "restore/drill", "msg": "begins at revision 400, and clients had seen 500"}}
}

# What was written after the member was asked, and before it ended, is not known.
test_stands_still if {
	found := policy.deny with data.world as world(500, true)
	found == {{"subject": "restore/drill", "msg": "begins at revision 500, and clients had seen 500"}}
}

test_nobody_said if {
	doubts := policy.unknown with data.world as world(400, false)
	doubts == {{"subject": "restore/drill", "msg": "no member of etcd said its revision before it ended"}}
}
