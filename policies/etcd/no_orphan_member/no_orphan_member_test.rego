package seatrial.etcd.no_orphan_member_test

import data.seatrial.etcd.no_orphan_member as policy

world(said) := {"probes": {"etcd/cp-1": {"target": "etcd", "subject": "etcd/cp-1"}, "api/cp-1": {"target": "api", "subject": "api/cp-1"}}, "etcd": said}

said(strangers, asked) := world({"etcd/cp-1": {"strangers": strangers, "membersAsked": asked}})

test_none if {
	policy.subjects == {"etcd/cp-1"} with data.world as said([], true)
	policy.deny == set() with data.world as said([], true)
	policy.unknown == set() with data.world as said([], true)
}

test_one if {
	found := policy.deny with data.world as said(["8e9e05c52164694d"], true)
	found == {{"subject": "etcd/cp-1", "msg": "lists the member 8e9e05c52164694d, which no control plane of the cluster runs"}}
}

test_not_said if {
	doubts := {{"subject": "etcd/cp-1", "msg": "did not say in the end"}}
	policy.unknown == doubts with data.world as said([], false)
	policy.unknown == doubts with data.world as world({})
}
