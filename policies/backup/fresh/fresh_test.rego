package seatrial.backup.fresh_test

import data.seatrial.backup.fresh as policy

world(ended) := {
	"restores": {"restore/drill": {"backup": "backup/nightly"}}, "backups": {"backup/nightly": {"time": "2026-11-27T10:00:00Z"}},
	"etcdEnds": {"etcd/cp-1": {"until": ended}},
}

given := {"params": {"max": "1m"}}

test_fresh if {
	policy.subjects == {"backup/nightly"} with data.world as world("2026-11-27T10:00:59Z") with input as given
	policy.deny == set() with data.world as world("2026-11-27T10:00:59Z") with input as given
}

test_old if {
	found := policy.deny with data.world as world("2026-11-27T10:02:00Z") with input as given
	found == {{"subject": "backup/nightly", "msg": "was 120 s old when etcd had lost its quorum; at most 1m may be lost"}}
}

test_one_of_three_ended_early if {
	ends := {"etcd/cp-1": {"until": "2026-11-27T10:00:05Z"}, "etcd/cp-2": {"until": "2026-11-27T10:02:00Z"}, "etcd/cp-3": {"until": "2026-11-27T10:03:00Z"}}
	found := policy.deny with data.world as object.union(world("2026-11-27T10:00:05Z"), {"etcdEnds": ends}) with input as given
	found == {{"subject": "backup/nightly", "msg": "was 120 s old when etcd had lost its quorum; at most 1m may be lost"}}
}

test_no_backup if {
	policy.subjects == set() with data.world as {"restores": {}, "backups": {}, "etcdEnds": {}} with input as given
}
