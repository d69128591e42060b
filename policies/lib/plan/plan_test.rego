package seatrial.lib.plan_test

import data.seatrial.lib.plan

drain(id, node, options) := {"number": "1.2", "id": id, "procedure": "drain", "action": "drain", "node": node, "options": options}

tree := {"plan": {"ops": [{"number": "1", "id": "evict", "procedure": "drain", "ops": [
	{"number": "1.1", "id": "evict/a/cordon", "procedure": "drain", "action": "cordon", "node": "a"},
	drain("evict/a/drain", "a", {}),
	drain("evict/b/drain", "b", {"disableEviction": true}),
]}]}}

test_leaves_and_drains if {
	{op.id | some op in plan.leaves} == {"evict/a/cordon", "evict/a/drain", "evict/b/drain"} with input as tree
	plan.drained_nodes == {"a", "b"} with input as tree
	plan.evicted_nodes == {"a"} with input as tree
}

test_workloads_without_daemonsets_and_owned if {
	world := {"workloads": {
		"deployment/p/web": {"kind": "deployment", "owner": ""},
		"replicaset/p/web-1": {"kind": "replicaset", "owner": "deployment/p/web"},
		"daemonset/p/log": {"kind": "daemonset", "owner": ""},
	}}
	object.keys(plan.workloads) == {"deployment/p/web"} with data.world as world
}

web(nodes, replicas) := {"kind": "deployment", "namespace": "p", "name": "web", "nodes": nodes, "replicas": replicas}

test_may_be_on if {
	plan.may_be_on(web({"a": 1}, 1), "a") with data.world as {"promised": false} with input as tree
	not plan.may_be_on(web({"a": 1}, 1), "b") with data.world as {"promised": false} with input as tree
	plan.may_be_on(web({}, 2), "b") with data.world as {"promised": true} with input as tree
	not plan.may_be_on(web({}, 0), "b") with data.world as {"promised": true} with input as tree
}

test_scaled if {
	up := {"plan": {"ops": [{"number": "1", "procedure": "scale", "options": {"object": "deployment/web", "namespace": "p", "replicas": 3}}]}}
	plan.sizes(web({}, 1)) == {1, 3} with input as up
	plan.may_be_on(web({"a": 1}, 1), "b") with data.world as {"promised": false} with input as up
}

test_bare_pods if {
	world := {"pods": {
		"p/bare": {"controller": "", "mirror": false, "phase": "Running"},
		"p/owned": {"controller": "replicaset/p/web-1", "mirror": false, "phase": "Running"},
		"p/static": {"controller": "", "mirror": true, "phase": "Running"},
		"p/done": {"controller": "", "mirror": false, "phase": "Succeeded"},
	}}
	object.keys(plan.bare_pods) == {"pod/p/bare"} with data.world as world
}

test_pod_may_be_on if {
	plan.pod_may_be_on({"node": "a"}, "a") with data.world as {"promised": false}
	not plan.pod_may_be_on({"node": "a"}, "b") with data.world as {"promised": false}
	plan.pod_may_be_on({"node": ""}, "b") with data.world as {"promised": true}
}
