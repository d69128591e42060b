package seatrial.restore.members_agree_test

import data.seatrial.restore.members_agree as policy

world(hashes, ids, replaced) := {
	"restores": {"restore/drill": {"hashes": hashes, "clusterIds": ids}}, "etcdReplaced": replaced,
	"etcdEnds": {"etcd/cp-1": {"node": "cp-1"}, "etcd/cp-2": {"node": "cp-2"}},
}

same := {"cp-1": "aa", "cp-2": "aa"}

other := {"cp-1": "aa", "cp-2": "bb"}

both := {"etcd/cp-1": {}, "etcd/cp-2": {}}

test_agree if {
	policy.subjects == {"etcd/cp-1", "etcd/cp-2"} with data.world as world(same, same, both)
	policy.deny == set() with data.world as world(same, same, both)
	policy.unknown == set() with data.world as world(same, same, both)
}

test_disagree if {
	hashes := policy.deny with data.world as world(other, same, both)
	hashes == {{"subject": "restore/drill", "msg": "the members hold different data: cp-1 aa, cp-2 bb"}}
	ids := policy.deny with data.world as world(same, other, both)
	ids == {{"subject": "restore/drill", "msg": "the members are of different clusters: cp-1 aa, cp-2 bb"}}
	left := policy.deny with data.world as world(same, same, {"etcd/cp-1": {}})
	left == {{"subject": "etcd/cp-2", "msg": "was not restored with the others"}}
}

test_nothing if {
	found := policy.deny with data.world as world({"cp-1": "aa", "cp-2": ""}, same, both)
	found == {{"subject": "etcd/cp-2", "msg": "has nothing of what was restored"}}
}

test_not_asked if {
	doubts := policy.unknown with data.world as world({"cp-1": "aa"}, same, both)
	doubts == {{"subject": "etcd/cp-2", "msg": "was not asked for its hash"}}
}
