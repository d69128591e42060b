package seatrial.restore.old_data_kept_test

import data.seatrial.restore.old_data_kept as policy

world(kept, removed, lost) := {
	"etcdReplaced": {"etcd/cp-1": {"kept": kept, "removed": removed}},
	"etcdEnds": {"etcd/cp-1": {"lost": lost}},
}

test_kept if {
	policy.subjects == {"etcd/cp-1"} with data.world as world("/var/lib/etcd-before", false, false)
	policy.deny == set() with data.world as world("/var/lib/etcd-before", false, false)
	policy.unknown == set() with data.world as world("/var/lib/etcd-before", false, false)
}

test_there_was_none if {
	policy.deny == set() with data.world as world("", true, true)
	policy.unknown == set() with data.world as world("", false, true)
}

test_removed if {
	found := policy.deny with data.world as world("", true, false)
	found == {{"subject": "etcd/cp-1", "msg": "had its data removed by the restore"}}
	policy.unknown == set() with data.world as world("", true, false)
}

test_not_known if {
	doubts := policy.unknown with data.world as world("", false, false)
	doubts == {{"subject": "etcd/cp-1", "msg": "had data when it was stopped, and where that is now is not known"}}
}
