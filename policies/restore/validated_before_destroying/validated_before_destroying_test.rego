package seatrial.restore.validated_before_destroying_test

import data.seatrial.restore.validated_before_destroying as policy

world(checked, verified) := {
	"etcdReplaced": {"etcd/cp-1": {"backup": "backup/nightly", "time": "2026-01-01T00:01:00Z"}},
	"checked": checked, "verified": verified,
}

before := "2026-01-01T00:00:00Z"

after := "2026-01-01T00:02:00Z"

broken := {{"subject": "etcd/cp-1", "msg": "had its data replaced by backup/nightly before anybody had looked whether that is whole"}}

test_looked_at if {
	policy.subjects == {"etcd/cp-1"} with data.world as world({}, {})
	policy.deny == set() with data.world as world({"backup/nightly": {"time": before}}, {})
	policy.deny == set() with data.world as world({}, {"backup/nightly": {"time": before, "problem": ""}})
}

test_not if {
	policy.deny == broken with data.world as world({}, {})
	policy.deny == broken with data.world as world({"backup/nightly": {"time": after}}, {})
	policy.deny == broken with data.world as world({}, {"backup/nightly": {"time": after, "problem": ""}})
	policy.deny == broken with data.world as world({}, {"backup/nightly": {"time": before, "problem": "cut off"}})
}
