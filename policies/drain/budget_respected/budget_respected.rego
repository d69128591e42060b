# METADATA
# title: Healthy pods never fall below a budget because of what we did
# description: >-
#   A PodDisruptionBudget says how many pods must stay healthy while pods are taken on purpose. The
#   policy speaks when a budget has fewer, and one of the pods that were evicted or deleted left it so.
#   Pods lost to a power cut are no breach, and neither is a drain that takes unhealthy pods. A cluster
#   without budgets has none to break; drain/workload_has_budget speaks of that.
# related_resources:
# - ref: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
# - ref: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
# custom:
#   severity: error
#   scope: moment
#   on: [budgets]
#   needs: [drain]
#   mayBeEmpty: true
#   remedy: >-
#     Evict pods instead of deleting them (leave out disableEviction), one node at a time, and wait for
#     replacements to be Ready.
package seatrial.drain.budget_respected

subjects contains subject(budget) if {
	some key in input.touched.budgets
	budget := data.world.budgets[key]
}

# The shortfall alone proves nothing: the node may have died. A pod taken on purpose must have left the budget short. One finding names them all.
deny contains {"subject": subject(budget), "msg": msg} if {
	some key in input.touched.budgets
	budget := data.world.budgets[key]
	budget.healthy < budget.desired
	breaches := [how | some taken in budget.taken; taken.healthyAfter < budget.desired; how := breach(taken)]
	count(breaches) > 0
	msg := sprintf("has %d healthy pods and desires %d: %s", [budget.healthy, budget.desired, concat(", ", breaches)])
}

breach(taken) := sprintf("%s was %s%s and left %d", [taken.pod, taken.how, by(taken), taken.healthyAfter])

by(taken) := sprintf(" by %s", [taken.op]) if taken.op != ""

by(taken) := "" if taken.op == ""

subject(budget) := sprintf("poddisruptionbudget/%s/%s", [budget.namespace, budget.name])
