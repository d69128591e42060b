# METADATA
# title: Replicated workloads on a node to be drained have a disruption budget
# description: >-
#   Without a PodDisruptionBudget a drain may evict all replicas of a workload at once. Every Deployment
#   and StatefulSet with two or more replicas that may be on a node to be drained needs one. kubeadm
#   ships CoreDNS without a budget, so kube-system is left out unless ignoreNamespaces says otherwise.
# related_resources:
# - ref: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
# custom:
#   severity: error
#   scope: plan
#   needs: [drain]
#   params:
#     ignoreNamespaces:
#       default: [kube-system]
#       description: Namespaces whose workloads need no budget.
#   remedy: >-
#     Add a PodDisruptionBudget that selects the pods, for example with maxUnavailable 1.
package seatrial.drain.workload_has_budget

import data.seatrial.lib.plan

subjects contains sprintf("node/%s", [node]) if some node in plan.drained_nodes

subjects contains key if some key, _ in replicated

deny contains {"subject": key, "msg": msg} if {
	some key, workload in replicated
	count(workload.budgets) == 0
	msg := sprintf("has %d replicas and no PodDisruptionBudget: a drain may evict all of them at once; add one that selects its pods", [max(plan.sizes(workload))])
}

replicated[key] := workload if {
	some key, workload in plan.workloads
	workload.kind in {"deployment", "statefulset"}
	max(plan.sizes(workload)) >= 2
	not workload.namespace in input.params.ignoreNamespaces
	some node in plan.drained_nodes
	plan.may_be_on(workload, node)
}
