package seatrial.backup.off_node_test

import data.seatrial.backup.off_node as policy

world(kept, stored) := {"backups": {"backup/nightly": {"node": "cp-1", "path": "/var/lib/etcd-snapshot.db", "kept": kept, "sizeBytes": 2048}}, "stored": stored}

denied(kept, stored) := {finding.msg | some finding in policy.deny with data.world as world(kept, stored); finding.subject == "backup/nightly"}

test_elsewhere if {
	policy.subjects == {"backup/nightly"} with data.world as world("here", {})
	denied("here", {}) == set()
	denied("objectStorage", {"backup/nightly": {"sizeBytes": 2048}}) == set()
}

test_on_the_node if denied("node", {}) == {"is on cp-1 only, in /var/lib/etcd-snapshot.db: what takes the node takes the backup"}

test_not_there if denied("objectStorage", {}) == {"was to be kept in object storage, and is not there"}

test_half_there if denied("objectStorage", {"backup/nightly": {"sizeBytes": 1024}}) == {"has 1024 bytes in object storage, and had 2048 when it was taken"}

test_no_backup if policy.subjects == set() with data.world as {"backups": {}, "stored": {}}
