package seatrial.restore.new_cluster_id_test

import data.seatrial.restore.new_cluster_id as policy

world(id, backups) := {"restores": {"restore/drill": {"backup": "backup/nightly", "clusterIds": {"cp-1": id}}}, "backups": backups}

taken := {"backup/nightly": {"clusterId": "aa"}}

test_new if {
	policy.subjects == {"restore/drill"} with data.world as world("bb", taken)
	policy.deny == set() with data.world as world("bb", taken)
	policy.unknown == set() with data.world as world("bb", taken)
}

test_old if {
	found := policy.deny with data.world as world("aa", taken)
	found == {{"subject": "restore/drill", "msg": "etcd/cp-1 has the id aa, which the cluster of old had"}}
}

test_not_known if {
	doubts := policy.unknown with data.world as world("aa", {})
	doubts == {{"subject": "restore/drill", "msg": "what the id was when backup/nightly was taken is not known"}}
}
