# METADATA
# title: No node is lost
# description: >-
#   A node that was Ready when the steps began is Ready when they have ended. One whose kubelet is not known to the API any more, or does not run, keeps its pods for minutes, and
#   takes no others. A node whose power the rehearsal has cut is left out.
# related_resources:
# - ref: https://kubernetes.io/docs/reference/node/node-status/#condition
# custom:
#   severity: error
#   scope: run
#   remedy: >-
#     Look at the kubelet of the node: whether it runs, and whether the API takes its certificate (seatrial certs list). After an operation on a node wait until it is Ready.
package seatrial.node.ready_at_end

subjects contains sprintf("node/%s", [name]) if some name, _ in ready

deny contains object.union({"subject": subject, "msg": msg}, since(subject)) if {
	some name, _ in ready
	node := data.world.nodes[name]
	node.powered
	node.ready != "True"
	subject := sprintf("node/%s", [name])
	msg := sprintf("was Ready when the steps began, and is not at their end: Ready is %s", [node.ready])
}

deny contains {"subject": sprintf("node/%s", [name]), "msg": "was there when the steps began, and is not at their end"} if {
	some name, _ in ready
	not data.world.nodes[name]
}

since(subject) := {"interval": lost} if {
	some lost in input.intervals
	lost.condition == "nodeNotReady"
	lost.subject == subject
	lost.open
} else := {}

ready[name] := node if {
	some name, node in data.first.nodes
	node.ready == "True"
}
