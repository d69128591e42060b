package seatrial.certs.none_expires_within_test

import data.seatrial.certs.none_expires_within as policy

world(end, clock) := {
	"inventories": {"certificates/check": {"time": "2026-11-28T11:00:00Z"}},
	"certificates": {"certificate/cp-1/kube-apiserver": {"place": "served", "path": "/etc/kubernetes/pki/apiserver.crt", "part": "", "serial": "a1", "notAfter": end, "clockSeconds": clock}},
}

given := {"params": {"min": "24h"}}

test_long if {
	policy.subjects == {"certificate/cp-1/kube-apiserver"} with data.world as world("2026-12-28T11:00:00Z", 0) with input as given
	policy.deny == set() with data.world as world("2026-12-28T11:00:00Z", 0) with input as given
}

test_short if {
	{finding.msg | some finding in policy.deny with data.world as world("2026-11-28T12:00:00Z", 0) with input as given} == {"expires at 2026-11-28T12:00:00Z, within 24h"}
}

test_over if {
	{finding.msg | some finding in policy.deny with data.world as world("2026-11-28T10:00:00Z", 0) with input as given} == {"has expired, at 2026-11-28T10:00:00Z"}
}

# The authority was renewed with its key, and a kubeconfig still has the old one, with which whoever uses it trusts nobody in an hour.
test_authority_in_kubeconfig if {
	found := {finding.subject | some finding in policy.deny with data.world as trusting("a1") with input as given}
	found == {"certificate/cp-1/etc/kubernetes/admin.conf#ca"}
	policy.deny == set() with data.world as trusting("a2") with input as given
}

trusting(serial) := object.union(world("2026-12-28T11:00:00Z", 0), {"certificates": {
	"certificate/cp-1/etc/kubernetes/pki/ca.crt": {"node": "cp-1", "place": "disk", "path": "/etc/kubernetes/pki/ca.crt", "part": "", "authority": true, "serial": "a2", "notAfter": "2036-11-28T11:00:00Z", "clockSeconds": 0},
	"certificate/cp-1/etc/kubernetes/admin.conf#ca": {"node": "cp-1", "place": "kubeconfig", "path": "/etc/kubernetes/admin.conf", "part": "ca", "authority": true, "serial": serial, "notAfter": "2026-11-28T12:00:00Z", "clockSeconds": 0},
}})

test_clock if {
	{doubt.msg | some doubt in policy.unknown with data.world as world("2026-12-28T11:00:00Z", 312.4) with input as given} == {"the clock there is 312 s ahead of ours"}
	policy.unknown == set() with data.world as world("2026-12-28T11:00:00Z", 3) with input as given
}
