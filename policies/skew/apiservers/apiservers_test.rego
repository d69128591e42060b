package seatrial.skew.apiservers_test

import data.seatrial.skew.apiservers

world(versions) := {"components": {sprintf("component/cp-%d/kube-apiserver", [i]): {"name": "kube-apiserver", "version": v} | some i, v in versions}}

test_one_apart if {
	apiservers.subjects == {"component/cp-0/kube-apiserver", "component/cp-1/kube-apiserver"} with data.world as world(["v1.34.4", "v1.33.13"])
	apiservers.deny == set() with data.world as world(["v1.34.4", "v1.33.13"])
}

test_two_apart if {
	some finding in apiservers.deny with data.world as world(["v1.35.4", "v1.33.13"])
	finding.subject == "component/cp-1/kube-apiserver"
	contains(finding.msg, "another API server is of minor 35")
}
