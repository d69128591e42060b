# METADATA
# title: Every budget in the way of a drain lets it go on
# description: >-
#   A budget that allows no disruption even when all its pods are healthy keeps a drain waiting until
#   its timeout, and the eviction API refuses a pod that two budgets select. Only budgets of pods that
#   may be on a node to be drained are looked at, and only for drains that evict.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
# - ref: https://github.com/kubernetes/kubernetes/issues/90253
# custom:
#   severity: error
#   scope: plan
#   needs: [drain]
#   remedy: >-
#     Raise maxUnavailable, lower minAvailable or run more replicas; where two budgets select one pod,
#     narrow their selectors until one is left.
package seatrial.drain.budget_allows_progress

import data.seatrial.lib.plan

subjects contains sprintf("node/%s", [node]) if some node in plan.drained_nodes

subjects contains subject(key) if some key in in_the_way

deny contains {"subject": subject(key), "msg": msg} if {
	some key in in_the_way
	budget := data.world.budgets[key]
	some pods in sizes(budget)
	pods > 0
	desired(budget, pods) >= pods
	msg := sprintf("with %s lets none of its %d pods be evicted, so the drain never ends; %s", [setting(budget), pods, advice(budget, pods)])
}

# The disruption controller expects no pods where neither is set, and allows nothing where it expects nothing.
deny contains {"subject": subject(key), "msg": msg} if {
	some key in in_the_way
	budget := data.world.budgets[key]
	budget.minAvailable == ""
	budget.maxUnavailable == ""
	msg := "sets neither minAvailable nor maxUnavailable, and so lets no pod be evicted; set maxUnavailable to 1 or more"
}

deny contains {"subject": key, "msg": msg} if {
	some key, budgets in in_reach
	count(budgets) > 1
	msg := sprintf("is selected by %d budgets (%s), and the eviction API refuses such a pod; narrow their selectors until one is left", [count(budgets), concat(", ", budgets)])
}

# The budgets of each workload and each bare pod that may have to be evicted.
in_reach[key] := workload.budgets if {
	some key, workload in plan.workloads
	some node in plan.evicted_nodes
	plan.may_be_on(workload, node)
}

in_reach[key] := pod.budgets if {
	some key, pod in plan.bare_pods
	some node in plan.evicted_nodes
	plan.pod_may_be_on(pod, node)
}

in_the_way contains key if {
	some budgets in in_reach
	some key in budgets
}

# How many pods the budget may have to reckon with: those that it has, or that its manifests promise, and as many as steps scale its workloads to.
sizes(budget) := {current(budget)} | {n | some key in budget.workloads; some n in plan.scaled(key)}

current(budget) := budget.expected if not data.world.promised

# There budget.pods are bare pods: no workload has made its pods yet.
current(budget) := budget.pods + sum([data.world.workloads[key].replicas | some key in budget.workloads]) if data.world.promised

# The number that the budget wants healthy is fixed for a number, and follows the size for all else.
desired(budget, pods) := budget.desired if pods == current(budget)

desired(budget, pods) := to_number(budget.minAvailable) if {
	pods != current(budget)
	regex.match(`^[0-9]+$`, budget.minAvailable)
}

desired(budget, pods) := pods - to_number(budget.maxUnavailable) if {
	pods != current(budget)
	regex.match(`^[0-9]+$`, budget.maxUnavailable)
}

desired(budget, pods) := ceil((pods * to_number(trim_suffix(budget.minAvailable, "%"))) / 100) if {
	pods != current(budget)
	endswith(budget.minAvailable, "%")
}

desired(budget, pods) := pods - ceil((pods * to_number(trim_suffix(budget.maxUnavailable, "%"))) / 100) if {
	pods != current(budget)
	endswith(budget.maxUnavailable, "%")
}

setting(budget) := sprintf("maxUnavailable %s", [budget.maxUnavailable]) if budget.maxUnavailable != ""

setting(budget) := sprintf("minAvailable %s", [budget.minAvailable]) if budget.minAvailable != ""

advice(budget, _) := "set maxUnavailable to 1 or more" if budget.maxUnavailable != ""

advice(budget, pods) := sprintf("set minAvailable to %d, or use maxUnavailable 1", [pods - 1]) if {
	budget.minAvailable != ""
	pods > 1
}

advice(budget, 1) := "run a second replica, or accept the outage with minAvailable 0" if budget.minAvailable != ""

subject(key) := sprintf("poddisruptionbudget/%s", [key])
