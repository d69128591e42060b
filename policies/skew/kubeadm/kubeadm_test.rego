package seatrial.skew.kubeadm_test

import data.seatrial.skew.kubeadm

world(servers, kubelet, version) := {
	"nodes": {"worker-1": {"kubeletVersion": kubelet}},
	"components": {sprintf("component/cp-%d/kube-apiserver", [i]): {"node": sprintf("cp-%d", [i]), "name": "kube-apiserver", "version": v} | some i, v in servers},
	"kubeadms": {"worker-1": {"node": "worker-1", "version": version}, "worker-2": {"node": "worker-2", "version": "v1.20.0"}},
}

touched(limit) := {"params": {"max": limit}, "touched": {"kubeadms": ["worker-1"]}}

messages(servers, kubelet, version, limit) := {finding.msg |
	some finding in kubeadm.deny with data.world as world(servers, kubelet, version) with input as touched(limit)
	finding.subject == "node/worker-1"
}

test_its_own_minor_or_one_before if {
	messages(["v1.33.13"], "v1.33.13", "v1.34.4", 3) == set()
	messages(["v1.34.4", "v1.33.13"], "v1.31.0", "v1.34.4", 3) == set()
	kubeadm.subjects == {"node/worker-1"} with data.world as world(["v1.33.13"], "v1.33.13", "v1.34.4") with input as touched(3)
}

test_two_before if {
	messages(["v1.33.13"], "v1.33.13", "v1.35.4", 3) == {"kubeadm v1.35.4 is 2 minors newer than an API server (cp-0: v1.33.13); at most 1 is allowed"}
}

test_older_than_an_api_server if {
	messages(["v1.33.13", "v1.34.4"], "v1.33.13", "v1.33.13", 3) == {"kubeadm v1.33.13 is older than an API server of minor 34; install that minor's"}
}

test_older_than_the_kubelet if {
	messages(["v1.33.13"], "v1.34.4", "v1.33.13", 3) == {"kubeadm v1.33.13 is older than the node's kubelet v1.34.4"}
}

test_kubelet_too_old if {
	messages(["v1.34.4"], "v1.30.14", "v1.34.4", 9) == {"kubelet v1.30.14 is 4 minors older than kubeadm v1.34.4; at most 3 are allowed"}
}

test_house_rule if count(messages(["v1.34.4"], "v1.32.0", "v1.34.4", 1)) == 1

test_nothing_works_now if {
	kubeadm.subjects == set() with data.world as world(["v1.33.13"], "v1.33.13", "v1.34.4") with input as {"params": {"max": 3}, "touched": {}}
}
