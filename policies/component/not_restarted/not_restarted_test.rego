package seatrial.component.not_restarted_test

import data.seatrial.component.not_restarted

scheduler(ends) := {"node": "cp-1", "name": "kube-scheduler", "restarts": count(ends), "ends": ends, "error": "exit status 2"}

etcd := {"node": "cp-1", "name": "etcd", "restarts": 0, "ends": [], "error": ""}

world(ends) := {"components": {"component/cp-1/kube-scheduler": scheduler(ends), "component/cp-1/etcd": etcd}}

at := "2026-11-24T14:30:04Z"

given(uses) := {"plan": {"uses": uses}, "intervals": [
	{"condition": "apiOutage", "subject": "api/cp-1", "from": "2026-11-24T14:29:54Z", "to": "2026-11-24T14:30:24Z"},
	{"condition": "nodeCordoned", "subject": "node/worker-1", "from": "2026-11-24T14:29:54Z", "to": "2026-11-24T15:30:24Z"},
]}

test_restarted if {
	count(not_restarted.deny) == 1 with data.world as world([at]) with input as given(["drain"])
	some finding in not_restarted.deny with data.world as world([at]) with input as given(["drain"])
	finding.subject == "component/cp-1/kube-scheduler"
	contains(finding.msg, "exit status 2")
}

# A fault befell a node at a time, as a step and as one beside it.
befell(node, from) := [object.union(given(["powerOff"]), {
	"plan": {"uses": ["powerOff"], "ops": [{"number": "3", "id": "f", "procedure": p.procedure, "node": node, "options": p.options}]},
	"ops": [{"id": "f", "action": "begin", "node": node, "from": from}],
}) |
	some p in [{"procedure": "powerOff", "options": {"node": node}}, {"procedure": "fault", "options": {"at": "before roll", "powerOff": {"node": node}}}]
]

faulted(ends) := object.union(world(ends), {"nodes": {"cp-3": {"role": "control-plane"}, "worker-1": {"role": "worker"}}})

found(ends, input_of) := count({finding | some finding in not_restarted.deny with data.world as faulted(ends) with input as input_of})

test_after_a_fault if {
	not_restarted.subjects == {"component/cp-1/kube-scheduler", "component/cp-1/etcd"} with data.world as world([at]) with input as given(["powerOff"])
	every f in befell("cp-3", "2026-11-24T14:30:01Z") { found([at], f) == 0 }
	every f in befell("cp-3", "2026-11-24T14:30:04.4Z") { found([at], f) == 0 }
}

test_before_a_fault if {
	every f in befell("cp-3", "2026-11-24T14:30:06Z") { found([at], f) == 1 }
	every f in befell("cp-3", null) { found([at], f) == 1 }
}

test_a_fault_of_a_worker if {
	every f in befell("worker-1", "2026-11-24T14:30:01Z") { found([at], f) == 1 }
}

test_a_fault_that_ends_nothing if {
	some f in befell("cp-3", "2026-11-24T14:30:01Z")
	copied := object.union(f, {"plan": {"uses": ["copyManifest"], "ops": [{"number": "3", "id": "f", "procedure": "fault", "node": "cp-3", "options": {"copyManifest": {"node": "cp-3"}}}]}})
	found([at], copied) == 1
}

test_while_its_api_server_is_replaced if {
	not_restarted.deny == set() with data.world as world([at]) with input as given(["upgrade"])
	not_restarted.deny == set() with data.world as world([at]) with input as given(["upgradeNode"])
}

test_before_a_probe_saw_it if {
	not_restarted.deny == set() with data.world as world(["2026-11-24T14:29:53.4Z"]) with input as given(["upgrade"])
	count(not_restarted.deny) == 1 with data.world as world(["2026-11-24T14:29:52.9Z"]) with input as given(["upgrade"])
}

test_at_another_time_of_an_upgrade if {
	count(not_restarted.deny) == 1 with data.world as world([at, "2026-11-24T14:31:00Z"]) with input as given(["upgrade"])
}

test_another_component_during_an_upgrade if {
	server := object.union(scheduler([at]), {"name": "kube-apiserver"})
	count(not_restarted.deny) == 1 with data.world as {"components": {"component/cp-1/kube-apiserver": server}} with input as given(["upgrade"])
}

upgraded(kubelet) := object.union(given(["upgrade"]), {"ops": [{"procedure": "upgrade", "action": "kubelet", "node": kubelet, "from": "2026-11-24T14:30:01Z", "to": "2026-11-24T14:30:40Z"}]})

members(ends) := {"components": {"component/cp-1/etcd": object.union(scheduler(ends), {"name": "etcd"})}}

test_while_its_kubelet_is_upgraded if {
	not_restarted.deny == set() with data.world as members([at]) with input as upgraded("cp-1")
	count(not_restarted.deny) == 1 with data.world as members([at]) with input as upgraded("cp-2")
	count(not_restarted.deny) == 1 with data.world as members(["2026-11-24T14:30:00Z"]) with input as upgraded("cp-1")
	count(not_restarted.deny) == 1 with data.world as members([at, "2026-11-24T14:31:00Z"]) with input as upgraded("cp-1")
}

# One that is restarted for its certificate starts no static pod anew.
test_while_its_kubelet_is_restarted if {
	[op] := upgraded("cp-1").ops
	renewed := object.union(upgraded("cp-1"), {"plan": {"uses": ["renewCertificates"]}, "ops": [object.union(op, {"procedure": "renewCertificates"})]})
	count(not_restarted.deny) == 1 with data.world as members([at]) with input as renewed
}
