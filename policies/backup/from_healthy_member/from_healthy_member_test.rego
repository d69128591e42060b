package seatrial.backup.from_healthy_member_test

import data.seatrial.backup.from_healthy_member as policy

given := {"params": {"max_behind": 1000}}

world(taken) := {"backups": {"backup/nightly": taken}}

member(leader, learner, behind) := world({"node": "cp-1", "member": {"leader": leader, "learner": learner, "behind": behind}})

found(of) := messages if {
	findings := policy.deny with data.world as of with input as given
	messages := {f.msg | some f in findings; f.subject == "backup/nightly"}
}

test_in_step if {
	policy.subjects == {"backup/nightly"} with data.world as member("aa", false, 3)
	found(member("aa", false, 3)) == set()
}

test_not if {
	found(world({"node": "cp-1"})) == {"was taken from etcd/cp-1, which did not say how it is"}
	found(member("", false, 0)) == {"was taken from etcd/cp-1, which followed no leader: what the others have it may lack"}
	found(member("aa", true, 0)) == {"was taken from etcd/cp-1, which is a learner"}
	found(member("aa", false, 1001)) == {"was taken from etcd/cp-1, which had 1001 committed entries still to apply; at most 1000 are allowed"}
}
