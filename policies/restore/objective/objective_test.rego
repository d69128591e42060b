package seatrial.restore.objective_test

import data.seatrial.restore.objective as policy

world(answered, ends) := {"restores": {"restore/drill": {"answered": answered}}, "etcdEnds": ends}

ends := {"etcd/cp-1": {"time": "2026-11-27T10:00:05Z"}, "etcd/cp-2": {"time": "2026-11-27T10:00:00Z"}}

given := {"params": {"max": "1m"}}

test_in_time if {
	policy.subjects == {"restore/drill"} with data.world as world("2026-11-27T10:00:50Z", ends) with input as given
	policy.deny == set() with data.world as world("2026-11-27T10:00:50Z", ends) with input as given
	policy.unknown == set() with data.world as world("2026-11-27T10:00:50Z", ends) with input as given
}

test_late if {
	found := policy.deny with data.world as world("2026-11-27T10:01:30Z", ends) with input as given
	found == {{"subject": "restore/drill", "msg": "took 90 s from the loss of the quorum to an API that answers; at most 1m is allowed"}}
}

test_not_known if {
	doubts := policy.unknown with data.world as world("2026-11-27T10:01:30Z", {}) with input as given
	doubts == {{"subject": "restore/drill", "msg": "when etcd ended is not known"}}
}
