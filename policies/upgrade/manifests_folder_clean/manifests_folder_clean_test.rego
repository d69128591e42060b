package seatrial.upgrade.manifests_folder_clean_test

import data.seatrial.upgrade.manifests_folder_clean as policy

world(files) := {"manifests": {"cp-1": {"node": "cp-1", "files": files}}}

etcd(file) := {"file": file, "pod": "kube-system/etcd"}

denied(w) := {[finding.subject, finding.msg] | some finding in policy.deny with data.world as w}

test_clean if {
	w := world([etcd("etcd.yaml"), {"file": "vip.yaml", "pod": "default/vip"}])
	policy.subjects == {"node/cp-1"} with data.world as w
	denied(w) == set()
}

test_copied if {
	denied(world([etcd("etcd.yaml.bak"), etcd("etcd.yaml")])) == {["node/cp-1", "has etcd.yaml and etcd.yaml.bak in its manifests folder, all of them the pod kube-system/etcd"]}
}

test_no_pod if {
	denied(world([etcd("etcd.yaml"), {"file": "README", "pod": ""}, {"file": "notes", "pod": ""}])) == {
		["node/cp-1", "has README in its manifests folder, which is no pod"],
		["node/cp-1", "has notes in its manifests folder, which is no pod"],
	}
}
