package seatrial.certs.issued_by_current_ca_test

import data.seatrial.certs.issued_by_current_ca as policy

world(signer, replaced) := {"certificates": {"certificate/cp-1/etcd": {
	"node": "cp-1", "place": "served", "component": "etcd", "path": "/etc/kubernetes/pki/etcd/server.crt", "part": "", "serial": "a1",
	"authority": false, "issuer": "CN=etcd-ca", "signer": signer, "replaced": replaced,
}}}

test_signed if {
	policy.subjects == {"certificate/cp-1/etcd"} with data.world as world("/etc/kubernetes/pki/etcd/ca.crt", false)
	policy.deny == set() with data.world as world("/etc/kubernetes/pki/etcd/ca.crt", false)
}

test_nobody if {
	{finding.msg | some finding in policy.deny with data.world as world("", false)} == {"no authority on cp-1 has signed it; it names CN=etcd-ca"}
}

test_replaced if {
	{finding.msg | some finding in policy.deny with data.world as world("/etc/kubernetes/pki/etcd/ca.crt", true)} == {"was signed by an authority in /etc/kubernetes/pki/etcd/ca.crt that has been replaced"}
}
