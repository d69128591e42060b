package seatrial.restore.secrets_readable_test

import data.seatrial.restore.secrets_readable as policy

world(read) := {"restores": {"restore/drill": {}}, "secretsRead": read}

test_readable if {
	policy.subjects == {"restore/drill"} with data.world as world({"restore/drill": {"secrets": 2, "asked": 2, "read": 2, "problem": ""}})
	policy.deny == set() with data.world as world({"restore/drill": {"secrets": 2, "asked": 2, "read": 2, "problem": ""}})
	policy.unknown == set() with data.world as world({"restore/drill": {"secrets": 2, "asked": 2, "read": 2, "problem": ""}})
}

test_not if {
	found := policy.deny with data.world as world({"restore/drill": {"secrets": 2, "asked": 2, "read": 0, "problem": "no matching key"}})
	found == {{"subject": "restore/drill", "msg": "Secrets can't be read: no matching key"}}
}

test_not_tried if {
	doubts := policy.unknown with data.world as world({})
	doubts == {{"subject": "restore/drill", "msg": "nobody tried to read Secrets"}}
}

test_none_read if {
	doubts := policy.unknown with data.world as world({"restore/drill": {"secrets": 2, "asked": 2, "read": 0, "problem": ""}})
	doubts == {{"subject": "restore/drill", "msg": "no Secret was read, and the backup holds 2"}}
}

test_some_read if {
	doubts := policy.unknown with data.world as world({"restore/drill": {"secrets": 2, "asked": 2, "read": 1, "problem": ""}})
	doubts == {{"subject": "restore/drill", "msg": "1 of 2 Secrets were read"}}
}

test_none_there if {
	policy.unknown == set() with data.world as world({"restore/drill": {"secrets": 0, "asked": 0, "read": 0, "problem": ""}})
}
