package seatrial.skew.kubelet_test

import data.seatrial.skew.kubelet

world(servers, version) := {
	"nodes": {"worker-1": {"kubeletVersion": version}, "worker-2": {"kubeletVersion": ""}},
	"components": {sprintf("component/cp-%d/kube-apiserver", [i]): {"node": sprintf("cp-%d", [i]), "name": "kube-apiserver", "version": v} | some i, v in servers},
}

messages(servers, version, limit) := {finding.msg |
	some finding in kubelet.deny with data.world as world(servers, version) with input as {"params": {"max": limit}}
}

test_within if {
	messages(["v1.34.4"], "v1.34.4", 3) == set()
	messages(["v1.34.4"], "v1.31.0", 3) == set()
	kubelet.subjects == {"node/worker-1"} with data.world as world(["v1.34.4"], "v1.34.4") with input as {"params": {"max": 3}}
}

test_newer_than_the_oldest if {
	messages(["v1.34.4", "v1.33.13"], "v1.34.4", 3) == {"kubelet v1.34.4 is newer than an API server (cp-1: v1.33.13); upgrade every API server first"}
}

test_too_old if messages(["v1.34.4"], "v1.30.14", 3) == {"kubelet v1.30.14 is 4 minors older than an API server; at most 3 are allowed"}

test_two_before_1_28 if {
	count(messages(["v1.27.0"], "v1.24.0", 3)) == 1
	messages(["v1.27.0"], "v1.25.0", 3) == set()
}

test_house_rule if count(messages(["v1.34.4"], "v1.32.0", 1)) == 1

test_no_api_server_seen if {
	kubelet.subjects == set() with data.world as world([], "v1.34.4") with input as {"params": {"max": 3}}
}
