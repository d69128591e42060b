package seatrial.certs.sans_complete_test

import data.seatrial.certs.sans_complete as policy

world(missing) := {"certificates": {"certificate/cp-1/kube-apiserver": {"place": "served", "component": "kube-apiserver", "serial": "a1", "missing": missing}}}

test_complete if {
	policy.subjects == {"certificate/cp-1/kube-apiserver"} with data.world as world([])
	policy.deny == set() with data.world as world([])
}

test_missing if {
	{finding.msg | some finding in policy.deny with data.world as world(["10.96.0.1", "cp-1"])} == {"is not certified for 10.96.0.1, cp-1"}
}
