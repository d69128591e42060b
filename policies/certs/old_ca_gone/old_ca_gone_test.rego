package seatrial.certs.old_ca_gone_test

import data.seatrial.certs.old_ca_gone as policy

ca(serial) := {"node": "cp-1", "place": "disk", "component": "", "path": "/etc/kubernetes/pki/ca.crt", "part": "", "serial": serial, "authority": true}

conf(serial) := {"node": "worker-1", "place": "kubeconfig", "component": "", "path": "/etc/kubernetes/kubelet.conf", "part": "authority", "serial": serial, "authority": true}

world(certificates, looked) := {
	"certificates": certificates,
	"authorities": {"authority/ca/a1": {"time": "2026-11-28T10:00:00Z", "old": "a1", "new": "b2"}},
	"inventories": {"certificates/rotate": {"time": looked, "unreadable": []}},
}

after := "2026-11-28T10:05:00Z"

messages(w) := {sprintf("%s %s", [f.subject, f.msg]) | some f in policy.deny with data.world as w}

test_gone if {
	w := world({"certificate/cp-1/ca": ca("b2"), "certificate/worker-1/conf": conf("b2")}, after)
	policy.subjects == {"authority/ca/a1"} with data.world as w
	messages(w) == set()
	policy.unknown == set() with data.world as w
}

test_trusted_still if {
	messages(world({"certificate/cp-1/ca": ca("b2"), "certificate/cp-1/ca/2": object.union(ca("a1"), {"part": "2"})}, after)) == {"certificate/cp-1/ca/2 is the authority that was replaced, and whoever it signed is trusted there"}
}

test_left_out if {
	messages(world({"certificate/cp-1/ca": ca("b2"), "certificate/worker-1/conf": conf("a1")}, after)) == {
		"certificate/worker-1/conf is the authority that was replaced, and whoever it signed is trusted there",
	}
}

test_not_replaced if {
	messages(world({"certificate/cp-1/ca": ca("c3")}, after)) == {"certificate/cp-1/ca is not the authority b2, which was to take the place of a1"}
}

test_nobody_looked if {
	w := world({"certificate/cp-1/ca": ca("b2")}, "2026-11-28T09:00:00Z")
	policy.unknown == {{"subject": "authority/ca/a1", "msg": "nobody looked at the certificates after it was replaced"}} with data.world as w
}

# A second one takes the place of the first.
test_replaced_twice if {
	twice := object.union(world({"certificate/cp-1/ca": ca("c3")}, after), {"authorities": {"authority/ca/b2": {"time": "2026-11-28T10:02:00Z", "old": "b2", "new": "c3"}}})
	messages(twice) == set()
	left := object.union(twice, {"certificates": {"certificate/worker-1/conf": conf("a1")}})
	messages(left) == {"certificate/worker-1/conf is the authority that was replaced, and whoever it signed is trusted there"}
}

test_unreadable if {
	w := object.union(world({"certificate/cp-1/ca": ca("b2")}, after), {"inventories": {"certificates/rotate": {"time": after, "unreadable": ["the files of worker-1: no route"]}}})
	policy.unknown == {{"subject": "authority/ca/a1", "msg": "not everything could be looked at: the files of worker-1: no route"}} with data.world as w
}

# A pod that no workload restarts.
test_pod_not_restarted if {
	w := object.union(world({"certificate/cp-1/ca": ca("b2")}, after), {"unrestarted": {"rotation/rotate": {"pods": ["pod/production/bare"]}}})
	{doubt.subject | some doubt in policy.unknown with data.world as w} == {"pod/production/bare"}
}

# A node whose file of authorities is gone trusts nobody new.
test_node_without_authority if {
	w := object.union(world({"certificate/cp-1/ca": ca("b2")}, after), {"nodes": {"cp-1": {}, "worker-1": {}}})
	messages(w) == {"node/worker-1 has no /etc/kubernetes/pki/ca.crt that could be read, so nobody there trusts the new authority"}
}
