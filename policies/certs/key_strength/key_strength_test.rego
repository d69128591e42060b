package seatrial.certs.key_strength_test

import data.seatrial.certs.key_strength as policy

world(kind, bits) := {"certificates": {"certificate/cp-1/etc/kubernetes/pki/ca.crt": {"keyKind": kind, "keyBits": bits}}}

test_strong if {
	policy.subjects == {"certificate/cp-1/etc/kubernetes/pki/ca.crt"} with data.world as world("RSA", 2048)
	policy.deny == set() with data.world as world("RSA", 2048)
	policy.deny == set() with data.world as world("ECDSA", 256)
	policy.unknown == set() with data.world as world("ECDSA", 256)
}

test_weak if {
	{finding.msg | some finding in policy.deny with data.world as world("RSA", 1024)} == {"its key is RSA with 1024 bits; at least 2048 are wanted"}
}

test_strange if {
	count(policy.unknown) == 1 with data.world as world("unknown", 0)
}
