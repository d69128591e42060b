package seatrial.etcd.healthy_throughout_test

import data.seatrial.etcd.healthy_throughout as policy

member := {"leader": "a1", "learner": false, "committed": 5000, "applied": 4990, "alarms": []}

world(silent, changes) := {
	"etcd": {sprintf("etcd/cp-%d", [i]): object.union(member, changes) | some i in numbers.range(1, 3)},
	"probes": object.union({"api/balancer": {"target": "api", "subject": "api/balancer", "ok": false, "error": ""}}, {subject: probe |
		some i in numbers.range(1, 3)
		subject := sprintf("etcd/cp-%d", [i])
		probe := {"target": "etcd", "subject": subject, "ok": i > silent, "error": "no answer"}
	}),
}

denied(w) := {[finding.subject, finding.msg] | some finding in policy.deny with data.world as w with input as {"params": {"max_behind": 1000}}}

test_healthy if {
	policy.subjects == {"etcd/cp-1", "etcd/cp-2", "etcd/cp-3"} with data.world as world(0, {})
	denied(world(0, {})) == set()
	denied(world(1, {})) == set()
}

test_no_quorum if {
	denied(world(2, {})) == {["etcd", "has no quorum: 2 of 3 members do not answer (etcd/cp-1: no answer; etcd/cp-2: no answer)"]}
}

test_two_members_need_each_other if {
	w := {"etcd": {}, "probes": {
		"etcd/cp-1": {"target": "etcd", "subject": "etcd/cp-1", "ok": false, "error": "no answer"},
		"etcd/cp-2": {"target": "etcd", "subject": "etcd/cp-2", "ok": true, "error": ""},
	}}
	count(denied(w)) == 1
}

test_one_alone_has_no_quorum if {
	denied({"etcd": {}, "probes": {"etcd/cp-1": {"target": "etcd", "subject": "etcd/cp-1", "ok": false, "error": "no answer"}}}) == set()
}

test_members if {
	every c in [
		[{"alarms": ["NOSPACE"]}, "has the alarm NOSPACE"],
		[{"learner": true}, "is a learner, which has no vote"],
		[{"leader": ""}, "knows no leader"],
		[{"applied": 3000}, "has 2000 committed entries still to apply; at most 1000 are allowed"],
	] {
		{msg | some [_, msg] in denied(world(0, c[0]))} == {c[1]}
	}
}
