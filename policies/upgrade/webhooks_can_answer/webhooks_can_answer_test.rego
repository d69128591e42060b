package seatrial.upgrade.webhooks_can_answer_test

import data.seatrial.upgrade.webhooks_can_answer as policy

webhook := {"configuration": "validatingwebhookconfiguration/rules", "name": "pods.rules", "failurePolicy": "Fail", "service": "rules/webhook", "ownPods": false}

world(changes, services) := {"promised": false, "webhooks": {"k": object.union(webhook, changes)}, "services": services}

up(n) := {"rules/webhook": {"ready": n}}

test_answers if {
	policy.subjects == {"validatingwebhookconfiguration/rules"} with data.world as world({}, up(1))
	policy.deny == set() with data.world as world({}, up(1))
	denied({"ownPods": true}, up(2)) == set()
}

draining := {"plan": {"ops": [{"number": "3", "procedure": "drain", "action": "drain", "node": "worker-1"}]}}

denied(changes, services) := {[finding.subject, finding.msg] |
	some finding in policy.deny with data.world as world(changes, services) with input as draining
}

test_nobody_answers if {
	every services in [up(0), {}] {
		denied({}, services) == {["validatingwebhookconfiguration/rules", "fails what it is asked about: pods.rules asks service/rules/webhook, which has no ready endpoint"]}
	}
}

test_in_its_own_way if {
	some finding in policy.deny with data.world as world({"ownPods": true}, up(1)) with input as draining
	startswith(finding.msg, "stands in its own way: pods.rules is asked")
}

test_one_endpoint if {
	some finding in policy.deny with data.world as world({"newPods": true}, up(1)) with input as draining
	startswith(finding.msg, "has one endpoint: pods.rules asks service/rules/webhook about new pods")
	denied({"newPods": true}, up(2)) == set()
	count(denied({"newPods": true, "ownPods": true}, up(1))) == 1
}

test_nothing_is_drained if {
	every changes in [{"newPods": true}, {"ownPods": true}] {
		policy.deny == set() with data.world as world(changes, up(1)) with input as {"plan": {"ops": []}}
	}
}

looked_at(w) := subjects if subjects := policy.subjects with data.world as w

test_not_looked_at if {
	every changes in [{"failurePolicy": "Ignore"}, {"service": ""}] { looked_at(world(changes, {})) == set() }
	looked_at(object.union(world({}, {}), {"promised": true})) == set()
}
