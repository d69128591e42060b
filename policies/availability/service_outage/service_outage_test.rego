package seatrial.availability.service_outage_test

import data.seatrial.availability.service_outage

world(interval) := {"probes": {"service/p/web:80": {"target": "service", "subject": "service/p/web:80", "intervalSeconds": interval}}}

given(outages) := {"params": {"max": "1s"}, "intervals": outages}

outage(seconds) := {"condition": "serviceOutage", "subject": "service/p/web:80", "seconds": seconds}

test_short if {
	service_outage.subjects == {"service/p/web:80"} with input as given([outage(0.5)]) with data.world as world(0.2)
	service_outage.deny == set() with input as given([outage(0.5)]) with data.world as world(0.2)
	service_outage.unknown == set() with input as given([outage(0.5)]) with data.world as world(0.2)
}

test_long if {
	some finding in service_outage.deny with input as given([outage(2.25)]) with data.world as world(0.2)
	finding.subject == "service/p/web:80"
	finding.interval.seconds == 2.25
	finding.msg == "did not answer for 2.3 s; at most 1s is allowed"
}

test_long_with_a_reason if {
	refused := object.union(outage(3), {"reason": "connection refused"})
	some finding in service_outage.deny with input as given([refused]) with data.world as world(0.2)
	endswith(finding.msg, "(connection refused)")
}

test_slow_answers_counted if {
	slow := {"probes": {name: object.union(probe, {"patienceSeconds": 1}) | some name, probe in world(0.2).probes}}
	some doubt in service_outage.unknown with input as {"params": {"max": "500ms"}, "intervals": []} with data.world as slow
	endswith(doubt.msg, "was asked every 0.2 s and given 1 s to answer, so an outage of 500ms can't be seen")
	service_outage.unknown == set() with input as given([]) with data.world as slow
}

test_asked_too_seldom if {
	some doubt in service_outage.unknown with input as given([]) with data.world as world(5)
	doubt.subject == "service/p/web:80"
}
