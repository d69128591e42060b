# METADATA
# title: No node is left cordoned
# description: >-
#   A node that took pods when the steps began takes them again when they have ended. A node that stays
#   cordoned is capacity that quietly went away.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
# custom:
#   severity: error
#   scope: run
#   remedy: >-
#     Uncordon the node when the work on it is done, also when the step before failed.
package seatrial.node.uncordoned_at_end

subjects contains sprintf("node/%s", [name]) if some name, _ in schedulable

deny contains object.union(finding, since(subject)) if {
	some name, _ in schedulable
	data.world.nodes[name].cordoned
	subject := sprintf("node/%s", [name])
	finding := {"subject": subject, "msg": "was schedulable when the steps began and is cordoned at their end; uncordon it"}
}

since(subject) := {"interval": cordoned} if {
	some cordoned in input.intervals
	cordoned.condition == "nodeCordoned"
	cordoned.subject == subject
	cordoned.open
} else := {}

# Only what was schedulable can be left cordoned: a node that was cordoned before is somebody else's.
schedulable[name] := node if {
	some name, node in data.first.nodes
	not node.cordoned
}
