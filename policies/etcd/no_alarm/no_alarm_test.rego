package seatrial.etcd.no_alarm_test

import data.seatrial.etcd.no_alarm as policy

world(said) := {"probes": {"etcd/cp-1": {"target": "etcd", "subject": "etcd/cp-1"}, "api/cp-1": {"target": "api", "subject": "api/cp-1"}}, "etcd": said}

said(alarms, asked) := world({"etcd/cp-1": {"alarms": alarms, "alarmsAsked": asked}})

test_none if {
	policy.subjects == {"etcd/cp-1"} with data.world as said([], true)
	policy.deny == set() with data.world as said([], true)
	policy.unknown == set() with data.world as said([], true)
}

test_one if {
	found := policy.deny with data.world as said(["NOSPACE"], true)
	found == {{"subject": "etcd/cp-1", "msg": "has the alarm NOSPACE"}}
}

test_not_said if {
	doubts := {{"subject": "etcd/cp-1", "msg": "did not say in the end"}}
	policy.unknown == doubts with data.world as said([], false)
	policy.unknown == doubts with data.world as world({})
}
