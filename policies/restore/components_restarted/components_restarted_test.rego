package seatrial.restore.components_restarted_test

import data.seatrial.restore.components_restarted as policy

all := ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]

started(at) := {component: {"restore": "restore/drill", "time": at, "withinSeconds": 1} |
	some name in array.concat(all, ["etcd"])
	component := concat("/", ["component/cp-1", name])
}

world(starts) := {
	"restores": {"restore/drill": {}}, "etcdEnds": {"etcd/cp-1": {}}, "starts": starts,
	"etcdReplaced": {"etcd/cp-1": {"time": "2026-01-01T00:01:00Z"}},
}

late := "2026-01-01T00:01:01.5Z"

test_restarted if {
	policy.subjects == {"component/cp-1/kube-apiserver", "component/cp-1/kube-controller-manager", "component/cp-1/kube-scheduler"} with data.world as world(started(late))
	policy.deny == set() with data.world as world(started(late))
	policy.unknown == set() with data.world as world(started(late))
}

test_not if {
	left := object.union(started(late), {"component/cp-1/kube-scheduler": {"restore": "restore/drill", "time": "2026-01-01T00:00:00Z", "withinSeconds": 1}})
	found := policy.deny with data.world as world(left)
	found == {{"subject": "component/cp-1/kube-scheduler", "msg": "runs since 2026-01-01T00:00:00Z, and etcd was restored at 2026-01-01T00:01:00Z"}}
}

test_not_known if {
	doubts := policy.unknown with data.world as world({})
	doubts == {{"subject": "restore/drill", "msg": sprintf("since when each %s runs is not known", [name])} | some name in all}
}

test_not_sure if {
	doubts := policy.unknown with data.world as world(started("2026-01-01T00:00:59.5Z"))
	count(doubts) == 3
	policy.deny == set() with data.world as world(started("2026-01-01T00:00:59.5Z"))
}
