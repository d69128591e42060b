package seatrial.lib.version_test

import data.seatrial.lib.version

world := {"components": {
	"component/cp-1/kube-apiserver": {"node": "cp-1", "name": "kube-apiserver", "version": "v1.34.4"},
	"component/cp-2/kube-apiserver": {"node": "cp-2", "name": "kube-apiserver", "version": "v1.33.13"},
	"component/cp-2/etcd": {"node": "cp-2", "name": "etcd", "version": "3.6.5-0"},
	"component/cp-3/kube-apiserver": {"node": "cp-3", "name": "kube-apiserver", "version": ""},
}}

test_served if {
	version.served == {34, 33} with data.world as world
	version.oldest == "cp-2: v1.33.13" with data.world as world
}
