package seatrial.drain.workload_has_budget_test

import data.seatrial.drain.workload_has_budget

deployment(namespace, replicas, budgets, nodes) := {
	"kind": "deployment", "namespace": namespace, "name": "web", "owner": "",
	"replicas": replicas, "budgets": budgets, "nodes": nodes,
}

given := {
	"plan": {"ops": [{"number": "1", "id": "d", "procedure": "drain", "action": "drain", "node": "worker-1", "options": {}}]},
	"params": {"ignoreNamespaces": ["kube-system"]},
}

holds(workload) if {
	workload_has_budget.deny == set() with input as given
		with data.world as {"promised": false, "workloads": {"deployment/p/web": workload}}
}

test_with_budget if holds(deployment("p", 3, ["p/web"], {"worker-1": 1}))

test_single_replica if holds(deployment("p", 1, [], {"worker-1": 1}))

test_on_another_node if holds(deployment("p", 3, [], {"worker-2": 3}))

test_ignored_namespace if holds(deployment("kube-system", 2, [], {"worker-1": 1}))

test_without_budget if {
	world := {"promised": false, "workloads": {"deployment/p/web": deployment("p", 3, [], {"worker-1": 1})}}
	workload_has_budget.subjects == {"deployment/p/web", "node/worker-1"} with input as given with data.world as world
	some finding in workload_has_budget.deny with input as given with data.world as world
	finding.subject == "deployment/p/web"
	contains(finding.msg, "3 replicas")
}

test_scaled_up_before_the_drain if {
	up := {"number": "1", "procedure": "scale", "options": {"object": "deployment/web", "namespace": "p", "replicas": 3}}
	plan := {"plan": {"ops": array.concat([up], given.plan.ops)}, "params": given.params}
	world := {"promised": false, "workloads": {"deployment/p/web": deployment("p", 1, [], {"worker-2": 1})}}
	some finding in workload_has_budget.deny with input as plan with data.world as world
	contains(finding.msg, "3 replicas")
}
