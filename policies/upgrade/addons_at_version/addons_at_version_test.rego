package seatrial.upgrade.addons_at_version_test

import data.seatrial.upgrade.addons_at_version

world(proxy) := {"components": {
	"component/cp-1/kube-apiserver": {"node": "cp-1", "name": "kube-apiserver", "version": "v1.34.4"},
	"component/worker-1/kube-proxy": {"node": "worker-1", "name": "kube-proxy", "version": proxy},
}}

test_at_version if {
	addons_at_version.subjects == {"component/worker-1/kube-proxy"} with data.world as world("v1.34.4")
	addons_at_version.deny == set() with data.world as world("v1.34.4")
}

test_behind if {
	addons_at_version.deny == {{"subject": "component/worker-1/kube-proxy", "msg": "is v1.33.13 at the end, and the API server of cp-1 is v1.34.4"}} with data.world as world("v1.33.13")
}
