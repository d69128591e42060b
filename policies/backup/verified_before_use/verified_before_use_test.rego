package seatrial.backup.verified_before_use_test

import data.seatrial.backup.verified_before_use as policy

ends := {"etcd/cp-1": {"node": "cp-1", "time": "2026-11-27T10:00:10Z"}}

world(verified) := {"etcdReplaced": {"etcd/cp-1": {"backup": "backup/nightly"}}, "etcdEnds": ends, "verified": verified}

denied(verified) := {finding.msg | some finding in policy.deny with data.world as world(verified)}

test_proven if {
	policy.subjects == {"backup/nightly"} with data.world as world({})
	denied({"backup/nightly": {"problem": "", "time": "2026-11-27T10:00:09Z"}}) == set()
}

test_not_proven if {
	denied({}) == {"was restored from, and nobody had restored it anywhere else before to prove it"}
	denied({"backup/nightly": {"problem": "its hash is of other bytes", "time": "2026-11-27T10:00:09Z"}}) == {"was restored from, although it does not hold: its hash is of other bytes"}
	denied({"backup/nightly": {"problem": "", "time": "2026-11-27T10:00:11Z"}}) == {"was proven only after etcd had lost its quorum"}
}

test_one_of_three_had_ended if {
	three := object.union(ends, {"etcd/cp-2": {"time": "2026-11-27T10:01:00Z"}, "etcd/cp-3": {"time": "2026-11-27T10:01:00Z"}})
	verified := {"backup/nightly": {"problem": "", "time": "2026-11-27T10:00:11Z"}}
	policy.deny == set() with data.world as object.union(world(verified), {"etcdEnds": three})
}

test_nothing_restored if {
	policy.subjects == set() with data.world as {"etcdReplaced": {}, "etcdEnds": {}, "verified": {}}
}
