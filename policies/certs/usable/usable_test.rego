package seatrial.certs.usable_test

import data.seatrial.certs.usable as policy

world(c) := {
	"inventories": {"certificates/check": {"time": "2026-11-28T11:00:00Z", "unreadable": []}},
	"certificates": {"certificate/cp-1/etc/kubernetes/pki/apiserver.crt": object.union({"place": "disk", "path": "/etc/kubernetes/pki/apiserver.crt", "part": "", "serial": "a1", "problem": "", "notBefore": "2026-11-28T10:00:00Z"}, c)},
}

test_good if {
	policy.subjects == {"certificate/cp-1/etc/kubernetes/pki/apiserver.crt"} with data.world as world({})
	policy.deny == set() with data.world as world({})
	policy.unknown == set() with data.world as world({})
}

test_damaged if {
	{finding.msg | some finding in policy.deny with data.world as world({"serial": "", "problem": "its certificate is damaged"})} == {"its certificate is damaged"}
}

test_not_valid_yet if {
	found := {finding.msg | some finding in policy.deny with data.world as world({"notBefore": "2026-11-28T11:30:00Z"})}
	found == {"is not valid before 2026-11-28T11:30:00Z"}
}

test_unreadable if {
	some doubt in policy.unknown with data.world as {"certificates": {}, "inventories": {"certificates/check": {"time": "2026-11-28T11:00:00Z", "unreadable": ["the files of cp-2: no route"]}}}
	doubt.msg == "not everything could be looked at: the files of cp-2: no route"
}
