package seatrial.etcd.healthy_throughout_test

import data.seatrial.etcd.healthy_throughout as policy

member := {"leader": "a1", "learner": false, "behind": 10, "alarms": [], "strangers": []}

world(changes) := {"etcd": {"etcd/cp-1": member, "etcd/cp-2": object.union(member, changes)}}

denied(w) := {[finding.subject, finding.msg] | some finding in policy.deny with data.world as w with input as {"params": {"max_behind": 1000}}}

test_healthy if {
	policy.subjects == {"etcd/cp-1", "etcd/cp-2"} with data.world as world({})
	denied(world({})) == set()
	denied(world({"behind": 1000})) == set()
	denied(world({"leader": "", "silent": true})) == set() # whether it serves is availability's to say
}

test_members if {
	every c in [
		[{"alarms": ["NOSPACE"]}, "has the alarm NOSPACE"],
		[{"learner": true}, "is a learner, which has no vote"],
		[{"leader": ""}, "knows no leader"],
		[{"behind": 2000}, "has 2000 committed entries still to apply; at most 1000 are allowed"],
		[{"strangers": ["8e9e cp-9"]}, "has the member 8e9e cp-9, which no control plane of the cluster runs"],
	] {
		denied(world(c[0])) == {["etcd/cp-2", c[1]]}
	}
}
