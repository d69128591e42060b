package seatrial.backup.pki_included_test

import data.seatrial.backup.pki_included as policy

world(files) := {"backups": {"backup/nightly": {"pki": files}}}

denied(files) := {finding.msg | some finding in policy.deny with data.world as world(files); finding.subject == "backup/nightly"}

test_all if {
	policy.subjects == {"backup/nightly"} with data.world as world([])
	denied(policy.wanted) == set()
}

test_none if {
	some msg in denied([])
	startswith(msg, "is kept without /etc/kubernetes/pki/ca.crt, /etc/kubernetes/pki/ca.key, ")
}

test_key_elsewhere if denied(policy.wanted - {"/etc/kubernetes/pki/ca.key"}) == {"is kept without /etc/kubernetes/pki/ca.key"}

test_no_backup if {
	policy.subjects == set() with data.world as {"backups": {}}
	policy.deny == set() with data.world as {"backups": {}}
}
