# METADATA
# title: The nodes can be drained one after the other, all of them
# description: >-
#   Each drain of a roll may look possible alone and the roll be stuck all the same: pods that find no place
#   while their node is away use up a budget, and nodes that are drained side by side wait for each other.
#   The roll is done in thought on the cluster as it is found, with its budgets, replicas, affinities, taints
#   and free capacity. A roll that is called possible can be stuck all the same: volumes that belong to a
#   node or a zone, preemption, pods that are pending already, nodes that are not Ready, budgets over pods of jobs and of
#   custom controllers, and steps before the upgrade are not looked at (the comment of harness/roll lists it all). What a scenario only promises has no nodes yet, so `seatrial plan` says nothing of it.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
# - ref: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
# custom:
#   severity: error
#   scope: plan
#   needs: [upgrade]
#   mayBeEmpty: true
#   remedy: >-
#     Change each of the objects that are named, and look again: an object may be in the way for a second reason.
package seatrial.upgrade.roll_possible

subjects contains subject(id) if some id, _ in input.rolls

deny contains {"subject": blocker.object, "msg": msg, "change": blocker.change} if {
	some _, roll in input.rolls
	some blocker in roll.blockers
	msg := sprintf("keeps %s on %s for ever: it %s", [blocker.pod, blocker.node, blocker.reason])
}

deny contains {"subject": subject(id), "msg": msg, "change": change} if {
	some id, roll in input.rolls
	not roll.possible
	roll.fewer > 0
	count(roll.stuck) > 0
	msg := sprintf("waits for ever at %s, which wait for each other, %d nodes at a time", [named(roll.stuck), roll.parallel])
	change := sprintf("set workers.parallel to %d", [roll.fewer])
}

deny contains {"subject": subject(id), "msg": msg, "change": change} if {
	some id, roll in input.rolls
	roll.possible
	count(roll.stuck) > 0
	msg := sprintf("waits for ever at %s in this order", [named(roll.stuck)])
	change := reordered(id, roll)
}

reordered(id, roll) := sprintf("set workers.order, to %s", [concat(", ", roll.order)]) if endswith(id, "/workers")

# The order of control planes can't be set.
reordered(id, roll) := sprintf("drain them in the order %s, by steps of their own", [concat(", ", roll.order)]) if not endswith(id, "/workers")

subject(id) := sprintf("op/%s", [id])

named(nodes) := concat(", ", nodes) if count(nodes) <= 20

named(nodes) := sprintf("%s and %d more", [concat(", ", array.slice(nodes, 0, 20)), count(nodes) - 20]) if count(nodes) > 20
