package seatrial.certs.kubelet_rotates_test

import data.seatrial.certs.kubelet_rotates as policy

file(rotates) := {"node": "worker-1", "component": "", "part": "", "path": "/var/lib/kubelet/pki/kubelet-client-current.pem", "rotates": rotates, "notAfter": "2027-11-28T10:00:00Z"}

held := {"node": "worker-1", "component": "", "part": "", "path": "/etc/kubernetes/kubelet.conf", "rotates": false, "notAfter": "2027-11-28T10:00:00Z"}

world(certificates) := {"nodes": {"worker-1": {}}, "certificates": certificates}

test_rotates if {
	policy.subjects == {"a"} with data.world as world({"a": file(true)})
	policy.deny == set() with data.world as world({"a": file(true)})
	policy.unknown == set() with data.world as world({"a": file(true)})
}

test_does_not if {
	{finding.subject | some finding in policy.deny with data.world as world({"a": file(false)})} == {"a"}
	{finding.subject | some finding in policy.deny with data.world as world({"a": file(true), "b": held})} == {"b"}
}

# A request of which nothing came, as when the binding for its approval is gone.
test_unanswered if {
	asked := {"clientRequests": {"worker-1": {"pending": ["certificatesigningrequest/csr-a"], "since": "2026-11-28T10:00:00Z"}}}
	{finding.subject | some finding in policy.deny with data.world as object.union(world({"a": file(true)}), asked)} == {"node/worker-1"}
	answered := {"clientRequests": {"worker-1": {"pending": [], "since": "0001-01-01T00:00:00Z"}}}
	policy.deny == set() with data.world as object.union(world({"a": file(true)}), answered)
}

test_not_found if {
	{doubt.subject | some doubt in policy.unknown with data.world as world({})} == {"node/worker-1"}
}
