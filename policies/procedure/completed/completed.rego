# METADATA
# title: Every op of the plan did what it should
# description: >-
#   The rehearsed procedure went through: no op failed, and none was left out. An op that ended without
#   telling is Unknown.
# custom:
#   severity: error
#   scope: run
#   remedy: >-
#     Look at the log of the op that is named, and at the objects in its way.
package seatrial.procedure.completed

subjects contains subject(op) if some op in leaves

deny contains {"subject": subject(op), "msg": msg, "interval": op} if {
	some op in leaves
	op.state == "failed"
	msg := sprintf("failed: %s%s", [op.error, blockers(op)])
}

# Ops that are left out because another failed are its consequence, not findings of their own.
deny contains {"subject": subject(op), "msg": sprintf("was never finished: it is %s at the end", [op.state])} if {
	every other in leaves { not other.state in {"failed", "errored"} }
	some op in leaves
	op.state != "done"
}

unknown contains {"subject": subject(op), "msg": sprintf("errored: %s", [op.error])} if {
	some op in leaves
	op.state == "errored"
}

leaves contains op if {
	some op in input.ops
	op.leaf
}

subject(op) := sprintf("op/%s", [op.id])

blockers(op) := "" if count(op.blockers) == 0

blockers(op) := sprintf("; in its way: %s", [concat("; ", [text | some b in op.blockers; text := blocker(b)])]) if count(op.blockers) > 0

blocker(b) := sprintf("%s (%s: %s)", [b.subject, b.budget, b.reason]) if b.budget

blocker(b) := sprintf("%s (%s)", [b.subject, b.reason]) if not b.budget
