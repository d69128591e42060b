package seatrial.etcd.quorum_kept_test

import data.seatrial.etcd.quorum_kept as policy

world(interval) := {"probes": {
	"api/balancer": {"target": "api", "subject": "api/balancer", "intervalSeconds": 0.2},
	"etcd/cp-1": {"target": "etcd", "subject": "etcd/cp-1", "intervalSeconds": interval},
}}

lost(seconds) := {"params": {"max": "3s"}, "intervals": [
	{"condition": "etcdSilent", "subject": "etcd/cp-1", "seconds": 60},
	{"condition": "etcdQuorumLost", "subject": "etcd", "seconds": seconds, "reason": "2 of 3 members do not serve: etcd/cp-1: gone; etcd/cp-2: gone"},
]}

test_election if {
	policy.subjects == {"etcd"} with input as lost(2) with data.world as world(0.5)
	policy.deny == set() with input as lost(2) with data.world as world(0.5)
	policy.unknown == set() with input as lost(2) with data.world as world(0.5)
}

test_lost if {
	some finding in policy.deny with input as lost(4.25) with data.world as world(0.5)
	finding.subject == "etcd"
	finding.interval.seconds == 4.25
	finding.msg == "had no quorum for 4.3 s; at most 3s is allowed (2 of 3 members do not serve: etcd/cp-1: gone; etcd/cp-2: gone)"
}

test_asked_too_seldom if {
	some doubt in policy.unknown with input as lost(0) with data.world as world(5)
	doubt.subject == "etcd"
	doubt.msg == "etcd/cp-1 was asked every 5 s, so 3s without a quorum can't be seen"
}

test_nobody_asked if policy.subjects == set() with data.world as {"probes": {}}
