package seatrial.lib.certificates_test

import data.seatrial.lib.certificates

world := {
	"inventories": {"certificates/before": {"time": "2026-11-28T10:00:00Z"}, "certificates/check": {"time": "2026-11-28T11:00:00Z"}},
	"certificates": {
		"certificate/cp-1/etc/kubernetes/pki/apiserver.crt": {"place": "disk", "path": "/etc/kubernetes/pki/apiserver.crt", "part": "", "serial": "a1", "notAfter": "2026-11-28T12:00:00Z"},
		"certificate/cp-1/etc/kubernetes/pki/sa.pub": {"place": "disk", "path": "/etc/kubernetes/pki/sa.pub", "part": "", "serial": ""},
		"certificate/cp-1/etc/kubernetes/pki/ca.crt": {"node": "cp-1", "place": "disk", "path": "/etc/kubernetes/pki/ca.crt", "part": "", "authority": true, "serial": "ca"},
		"certificate/cp-1/etc/kubernetes/admin.conf#authority": {"node": "cp-1", "place": "kubeconfig", "path": "/etc/kubernetes/admin.conf", "part": "authority", "serial": "ca"},
		"certificate/worker-1/etc/kubernetes/kubelet.conf#authority": {"node": "worker-1", "place": "kubeconfig", "path": "/etc/kubernetes/kubelet.conf", "part": "authority", "serial": "ca-before"},
		"certificate/cp-1/kube-scheduler": {"place": "served", "path": "", "part": "", "serial": "b2"},
		"certificate/cp-1/kube-scheduler/etc/kubernetes/scheduler.conf": {"place": "loaded", "path": "/etc/kubernetes/scheduler.conf", "part": "", "serial": "c3"},
	},
}

test_which if {
	count(certificates.readable) == 6 with data.world as world
	object.keys(certificates.each) == {
		"certificate/cp-1/etc/kubernetes/pki/apiserver.crt", "certificate/cp-1/etc/kubernetes/pki/ca.crt", "certificate/cp-1/kube-scheduler",
		"certificate/worker-1/etc/kubernetes/kubelet.conf#authority",
	} with data.world as world
	certificates.self_made(world.certificates["certificate/cp-1/kube-scheduler"])
	not certificates.self_made(world.certificates["certificate/cp-1/etc/kubernetes/pki/apiserver.crt"])
}

test_left if {
	certificates.left(world.certificates["certificate/cp-1/etc/kubernetes/pki/apiserver.crt"]) == 3600000000000 with data.world as world
}
