package seatrial.certs.api_available_during_rotation_test

import data.seatrial.certs.api_available_during_rotation as policy

world := {"probes": {"api/balancer": {"target": "api", "subject": "api/balancer"}}}

given(seconds, from) := {
	"params": {"max": "1s"},
	"ops": [{"procedure": "renewCertificates", "leaf": true, "fromSeq": 10, "toSeq": 90}],
	"intervals": [{"condition": "apiOutage", "subject": "api/balancer", "seconds": seconds, "fromSeq": from, "toSeq": from + 5}],
}

test_short if {
	policy.subjects == {"api/balancer"} with data.world as world with input as given(0.4, 20)
	policy.deny == set() with data.world as world with input as given(0.4, 20)
}

test_long if {
	{finding.msg | some finding in policy.deny with data.world as world with input as given(2, 20)} == {"did not answer for 2.0 s after a request had failed while certificates were renewed; at most 1s is allowed"}
}

# The first request took a second to fail, and the next was answered.
test_first if {
	waited := json.patch(given(1.3, 20), [{"op": "add", "path": "/intervals/0/firstSeconds", "value": 1}])
	policy.deny == set() with data.world as world with input as waited
}

test_before_and_after if {
	policy.deny == set() with data.world as world with input as given(2, 1)
	policy.deny == set() with data.world as world with input as given(2, 95)
}
