package seatrial.backup.has_hash_test

import data.seatrial.backup.has_hash as policy

world(hash) := {"verified": {"backup/nightly": {"hasHash": hash}}}

test_has_one if {
	policy.subjects == {"backup/nightly"} with data.world as world(true)
	policy.deny == set() with data.world as world(true)
}

test_has_none if {
	found := policy.deny with data.world as world(false)
	found == {{"subject": "backup/nightly", "msg": "has no hash that anybody could see: it is a copied database file, or its end is missing, or it is no snapshot"}}
}
