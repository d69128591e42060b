package seatrial.certs.expires_soon_test

import data.seatrial.certs.expires_soon as policy

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
