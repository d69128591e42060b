package seatrial.certs.one_control_plane_at_a_time_test

import data.seatrial.certs.one_control_plane_at_a_time as policy

world := {"probes": {"api/cp-1": {"target": "api", "subject": "api/cp-1"}, "api/cp-2": {"target": "api", "subject": "api/cp-2"}, "api/balancer": {"target": "api", "subject": "api/balancer"}}}

away(subject, from, to) := {"condition": "apiOutage", "subject": subject, "fromSeq": from, "toSeq": to, "seconds": 40}

given(outages) := {"params": {"max": "1s"}, "ops": [{"procedure": "renewCertificates", "leaf": true, "fromSeq": 10, "toSeq": 90}], "intervals": outages}

test_in_turn if {
	policy.subjects == {"api/cp-1", "api/cp-2"} with data.world as world with input as given([])
	policy.deny == set() with data.world as world with input as given([away("api/cp-1", 20, 30), away("api/cp-2", 40, 50), away("api/balancer", 20, 50)])
}

test_at_once if {
	found := policy.deny with data.world as world with input as given([away("api/cp-1", 20, 45), away("api/cp-2", 40, 50)])
	{finding.msg | some finding in found} == {"api/cp-1 and api/cp-2 did not answer at the same time, while certificates were renewed"}
}

test_at_another_time if {
	policy.deny == set() with data.world as world with input as given([away("api/cp-1", 100, 120), away("api/cp-2", 110, 120)])
}

# A request that took a second and failed, and the next was answered.
test_one_request if {
	waited := object.union(away("api/cp-1", 41, 42), {"seconds": 1.3, "firstSeconds": 1})
	policy.deny == set() with data.world as world with input as given([waited, away("api/cp-2", 40, 50)])
	longer := object.union(waited, {"seconds": 2.1})
	count(policy.deny) == 1 with data.world as world with input as given([longer, away("api/cp-2", 40, 50)])
}
