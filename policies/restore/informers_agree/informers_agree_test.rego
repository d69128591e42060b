package seatrial.restore.informers_agree_test

import data.seatrial.restore.informers_agree as policy

world(informers) := {"restores": {"restore/drill": {}}, "etcdEnds": {"etcd/cp-1": {"time": "2026-01-01T00:01:00Z"}}, "informers": informers}

knows(objects, stale, since) := world({"restore/drill": {"objects": objects, "stale": stale, "since": since}})

before := "2026-01-01T00:00:00Z"

doubts(of) := messages if {
	found := policy.unknown with data.world as of
	messages := {f.msg | some f in found; f.subject == "restore/drill"}
}

test_agrees if {
	policy.subjects == {"restore/drill"} with data.world as knows(40, [], before)
	policy.deny == set() with data.world as knows(40, [], before)
	doubts(knows(40, [], before)) == set()
}

test_stale if {
	found := policy.deny with data.world as knows(40, ["namespace/later is not there any more"], before)
	found == {{"subject": "restore/drill", "msg": "left a client that watched through it with what it knew before: namespace/later is not there any more"}}
}

test_not_known if {
	doubts(world({})) == {"no client that watched was compared with the API after it"}
	doubts(knows(0, [], before)) == {"the client that watched knows no object"}
	doubts(knows(40, [], "2026-01-01T00:02:00Z")) == {"the client began to watch only after etcd had ended"}
}
