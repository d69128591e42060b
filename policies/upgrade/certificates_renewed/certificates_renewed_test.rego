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

files(version, serial) := object.union(world(version, serial), {
	"inventories": {"certificates/check": {"time": "2026-11-28T11:00:00Z"}},
	"certificates": {
		"certificate/cp-1/etc/kubernetes/admin.conf": {"node": "cp-1", "place": "kubeconfig", "component": "", "path": "/etc/kubernetes/admin.conf", "part": "", "serial": serial, "notAfter": "2027-01-01T00:00:00Z"},
		"certificate/cp-1/etc/kubernetes/pki/etcd/server.crt": {"node": "cp-1", "place": "disk", "component": "", "path": "/etc/kubernetes/pki/etcd/server.crt", "part": "", "serial": "c3", "notAfter": "2027-01-01T00:00:00Z"},
	},
})

upgraded_until(to) := {"ops": [{"procedure": "upgrade", "leaf": false}, {"procedure": "upgrade", "leaf": true, "to": to}, {"procedure": "checkCertificates", "leaf": true, "to": "2026-11-28T12:00:00Z"}]}

admin_conf := "certificate/cp-1/etc/kubernetes/admin.conf"

# A kubeconfig that nobody renewed, and that nobody serves.
test_file_kept if {
	found := {finding.subject | some finding in policy.deny with data.first as files("v1.33.13", "b2") with data.world as files("v1.34.4", "b2") with input as upgraded_until("2026-11-28T10:00:00Z")}
	found == {"certificate/cp-1/kube-apiserver", admin_conf}
}

test_file_renewed if {
	policy.deny == set() with data.first as files("v1.33.13", "a1") with data.world as files("v1.34.4", "b2") with input as upgraded_until("2026-11-28T10:00:00Z")
	policy.subjects[admin_conf] with data.first as files("v1.33.13", "a1") with data.world as files("v1.34.4", "b2") with input as upgraded_until("2026-11-28T10:00:00Z")
}

# Nobody looked again after the upgrade.
test_file_not_looked_at if {
	not policy.subjects[admin_conf] with data.first as files("v1.33.13", "a1") with data.world as files("v1.34.4", "a1") with input as upgraded_until("2026-11-28T11:30:00Z")
}
