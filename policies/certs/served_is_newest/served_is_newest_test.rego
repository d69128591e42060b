package seatrial.certs.served_is_newest_test

import data.seatrial.certs.served_is_newest as policy

world(serial) := {"certificates": {"certificate/cp-1/etcd": {
	"place": "served", "path": "/etc/kubernetes/pki/etcd/server.crt", "serial": serial, "notAfter": "2026-12-01T00:00:00Z",
	"newest": {"serial": "b2", "notAfter": "2027-12-01T00:00:00Z"},
}}}

test_newest if {
	policy.subjects == {"certificate/cp-1/etcd"} with data.world as world("b2")
	policy.deny == set() with data.world as world("b2")
}

test_older if {
	{finding.msg | some finding in policy.deny with data.world as world("a1")} == {"is not the one in /etc/kubernetes/pki/etcd/server.crt: what is served ends at 2026-12-01T00:00:00Z, the one there at 2027-12-01T00:00:00Z"}
}
