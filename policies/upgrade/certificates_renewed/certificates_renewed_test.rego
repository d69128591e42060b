package seatrial.upgrade.certificates_renewed_test

import data.seatrial.upgrade.certificates_renewed as policy

world(version, serial) := {
	"components": {"component/cp-1/kube-apiserver": {"node": "cp-1", "name": "kube-apiserver", "version": version}},
	"certificates": {"certificate/cp-1/kube-apiserver": {"serial": serial, "notAfter": "2027-01-01T00:00:00Z"}},
}

unasked(version) := {"components": world(version, "").components, "certificates": {}}

test_renewed if {
	policy.subjects == {"certificate/cp-1/kube-apiserver"} with data.first as world("v1.33.13", "a1") with data.world as world("v1.34.4", "b2")
	policy.deny == set() with data.first as world("v1.33.13", "a1") with data.world as world("v1.34.4", "b2")
	policy.unknown == set() with data.first as world("v1.33.13", "a1") with data.world as world("v1.34.4", "b2")
}

test_kept if {
	policy.deny == {{
		"subject": "certificate/cp-1/kube-apiserver",
		"msg": "is served with the serial number that it had before the upgrade (a1), and ends at 2027-01-01T00:00:00Z",
	}} with data.first as world("v1.33.13", "a1") with data.world as world("v1.34.4", "a1")
}

test_not_upgraded if {
	policy.subjects == set() with data.first as world("v1.33.13", "a1") with data.world as world("v1.33.13", "a1")
}

test_not_asked if {
	{finding.subject | some finding in policy.unknown with data.first as unasked("v1.33.13") with data.world as world("v1.34.4", "a1")} == {"certificate/cp-1/kube-apiserver"}
	{finding.subject | some finding in policy.unknown with data.first as world("v1.33.13", "a1") with data.world as unasked("v1.34.4")} == {"certificate/cp-1/kube-apiserver"}
}
