package seatrial.certs.no_pending_serving_csr_test

import data.seatrial.certs.no_pending_serving_csr as policy

world(pending) := {"servingRequests": {"worker-1": {"pending": pending, "since": "2026-11-28T10:00:00Z"}}}

test_none if {
	policy.subjects == {"node/worker-1"} with data.world as world([])
	policy.deny == set() with data.world as world([])
}

test_pending if {
	{finding.msg | some finding in policy.deny with data.world as world(["certificatesigningrequest/csr-1"])} == {"its kubelet waits for a serving certificate since 2026-11-28T10:00:00Z: nothing has come of certificatesigningrequest/csr-1"}
}
