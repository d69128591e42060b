package seatrial.certs.keys_private_test

import data.seatrial.certs.keys_private as policy

world(mode) := {"certificates": {"certificate/cp-1/etc/kubernetes/pki/ca.crt": {"keyMode": mode}}}

test_private if {
	policy.subjects == {"certificate/cp-1/etc/kubernetes/pki/ca.crt"} with data.world as world("0600")
	policy.deny == set() with data.world as world("0600")
}

test_open if {
	{finding.msg | some finding in policy.deny with data.world as world("0640")} == {"its key is in a file that others may read: its mode is 0640"}
	count(policy.deny) == 1 with data.world as world("0604")
}
