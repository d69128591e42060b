package seatrial.restore.digest_equal_test

import data.seatrial.restore.digest_equal as policy

world(changes) := {"restores": {"restore/drill": object.union({"backup": "backup/nightly", "backed": 100, "differences": [], "digest": "aa", "backedDigest": "aa"}, changes)}}

test_equal if {
	policy.subjects == {"restore/drill"} with data.world as world({})
	policy.deny == set() with data.world as world({})
	policy.unknown == set() with data.world as world({})
}

test_differs if {
	found := policy.deny with data.world as world({"differences": ["secrets: 3 and 2 objects"]})
	found == {{"subject": "restore/drill", "msg": "differs from backup/nightly: secrets: 3 and 2 objects"}}
}

test_another_digest if {
	found := policy.deny with data.world as world({"digest": "bb"})
	found == {{"subject": "restore/drill", "msg": "has the digest bb, and backup/nightly had aa"}}
}

test_no_digest if {
	doubts := policy.unknown with data.world as world({"digest": ""})
	doubts == {{"subject": "restore/drill", "msg": "has no digest to compare with that of backup/nightly"}}
}

test_empty if {
	doubts := policy.unknown with data.world as world({"backed": 0})
	doubts == {{"subject": "restore/drill", "msg": "backup/nightly has no objects, so nothing was compared"}}
}
