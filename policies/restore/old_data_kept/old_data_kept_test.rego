package seatrial.restore.old_data_kept_test

import data.seatrial.restore.old_data_kept as policy

world(kept, removed, lost) := {
	"etcdReplaced": {"etcd/cp-1": {"removed": removed}},
	"etcdKept": kept,
	"etcdEnds": {"etcd/cp-1": {"lost": lost}},
}

database(size) := {"etcd/cp-1": {"folder": "/var/lib/etcd-before-drill", "sizeBytes": size}}

test_kept if {
	policy.subjects == {"etcd/cp-1"} with data.world as world(database(4096), false, false)
	policy.deny == set() with data.world as world(database(4096), false, false)
	policy.unknown == set() with data.world as world(database(4096), false, false)
}

test_there_was_none if {
	policy.deny == set() with data.world as world(database(0), true, true)
	policy.deny == set() with data.world as world(database(0), false, true)
	policy.unknown == set() with data.world as world({}, false, true)
}

test_removed if {
	found := policy.deny with data.world as world(database(0), true, false)
	found == {{"subject": "etcd/cp-1", "msg": "had its data removed by the restore"}}
	policy.unknown == set() with data.world as world(database(0), true, false)
}

test_gone if {
	found := policy.deny with data.world as world(database(0), false, false)
	found == {{"subject": "etcd/cp-1", "msg": "had data when it was stopped, and none is in /var/lib/etcd-before-drill after the restore"}}
}

test_nobody_looked if {
	doubts := policy.unknown with data.world as world({}, false, false)
	doubts == {{"subject": "etcd/cp-1", "msg": "had data when it was stopped, and nobody looked where that is after the restore"}}
}
