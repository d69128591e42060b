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

test_trusts if {
	conf := {"node": "worker-1", "place": "kubeconfig", "path": "/etc/kubernetes/kubelet.conf", "part": "authority", "serial": "ca", "authority": true, "replaced": false}
	good := {"certificates": {"a": object.union(conf, {"signer": "/etc/kubernetes/pki/ca.crt"})}}
	gone := {"certificates": {"a": object.union(conf, {"signer": ""})}}
	policy.subjects == {"a"} with data.world as good
	policy.deny == set() with data.world as good
	{finding.msg | some finding in policy.deny with data.world as gone} == {"is none of the authorities on worker-1, and whoever comes with this kubeconfig trusts no other"}
}

ca(node, serial) := {"node": node, "place": "disk", "path": "/etc/kubernetes/pki/ca.crt", "part": "", "serial": serial, "authority": true, "signer": "/etc/kubernetes/pki/ca.crt", "replaced": false}

test_same_authority if {
	policy.deny == set() with data.world as {"certificates": {"a": ca("cp-1", "1"), "b": ca("cp-2", "1")}}
	{finding.msg | some finding in policy.deny with data.world as {"certificates": {"a": ca("cp-1", "1"), "b": ca("cp-2", "2")}}} == {"is another one than cp-1 has in /etc/kubernetes/pki/ca.crt"}
}

accounts(node, key) := {"node": node, "place": "disk", "path": "/etc/kubernetes/pki/sa.pub", "part": "", "serial": "", "authority": false, "problem": "", "subject": key}

test_same_accounts_key if {
	policy.deny == set() with data.world as {"certificates": {"a": accounts("cp-1", "SHA256:x"), "b": accounts("cp-2", "SHA256:x")}}
	{finding.msg | some finding in policy.deny with data.world as {"certificates": {"a": accounts("cp-1", "SHA256:x"), "b": accounts("cp-2", "SHA256:y")}}} == {
		"is another key than cp-1 has in /etc/kubernetes/pki/sa.pub",
	}
}
