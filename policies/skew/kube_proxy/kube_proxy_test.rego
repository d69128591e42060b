package seatrial.skew.kube_proxy_test

import data.seatrial.skew.kube_proxy

world(server, proxy, kubelet) := {
	"nodes": {"worker-1": {"kubeletVersion": kubelet}},
	"components": {
		"component/cp-1/kube-apiserver": {"node": "cp-1", "name": "kube-apiserver", "version": server},
		"component/worker-1/kube-proxy": {"node": "worker-1", "name": "kube-proxy", "version": proxy},
	},
}

params := {"params": {"max": 3}}

messages(server, proxy, kubelet) := {finding.msg |
	some finding in kube_proxy.deny with data.world as world(server, proxy, kubelet) with input as params
}

test_within if {
	kube_proxy.subjects == {"component/worker-1/kube-proxy"} with data.world as world("v1.34.4", "v1.33.13", "v1.33.13") with input as params
	messages("v1.34.4", "v1.33.13", "v1.33.13") == set()
	messages("v1.34.4", "v1.34.4", "") == set()
}

test_newer_than_an_api_server if {
	messages("v1.33.13", "v1.34.4", "v1.33.13") == {"is v1.34.4, newer than an API server (cp-1: v1.33.13); upgrade every API server first"}
}

test_too_old if {
	messages("v1.34.4", "v1.30.0", "v1.31.0") == {"is v1.30.0, 4 minors older than an API server; at most 3 are allowed"}
}

test_no_looser_than_kubernetes if {
	some finding in kube_proxy.deny with data.world as world("v1.34.4", "v1.30.0", "v1.31.0") with input as {"params": {"max": 5}}
	contains(finding.msg, "at most 3 are allowed")
}

test_apart_from_the_kubelet if {
	messages("v1.34.4", "v1.34.4", "v1.30.0") == {"is v1.34.4, 4 minors apart from the kubelet of its node, which is v1.30.0; at most 3 are allowed"}
}
