package seatrial.certs.loaded_is_newest_test

import data.seatrial.certs.loaded_is_newest as policy

world(serial) := {"certificates": {"certificate/cp-1/kube-scheduler/etc/kubernetes/scheduler.conf": {
	"node": "cp-1", "place": "loaded", "path": "/etc/kubernetes/scheduler.conf", "serial": serial,
	"since": "2026-11-28T10:00:00Z", "written": "2026-11-28T11:00:00Z", "newest": {"serial": "b2"},
}}}

first := {"certificates": {"certificate/cp-1/etc/kubernetes/scheduler.conf": {
	"node": "cp-1", "place": "kubeconfig", "path": "/etc/kubernetes/scheduler.conf", "part": "", "serial": "a1", "notAfter": "2026-11-28T12:00:00Z",
}}}

test_newest if {
	count(policy.subjects) == 1 with data.world as world("b2") with data.first as first
	policy.deny == set() with data.world as world("b2") with data.first as first
}

test_older if {
	{finding.msg | some finding in policy.deny with data.world as world("") with data.first as first} == {"runs since 2026-11-28T10:00:00Z, and /etc/kubernetes/scheduler.conf was written at 2026-11-28T11:00:00Z: it uses the certificate from before, and is nobody to the API from 2026-11-28T12:00:00Z on"}
	{finding.msg | some finding in policy.deny with data.world as world("") with data.first as {"certificates": {}}} == {"runs since 2026-11-28T10:00:00Z, and /etc/kubernetes/scheduler.conf was written at 2026-11-28T11:00:00Z: it uses the certificate from before"}
}
