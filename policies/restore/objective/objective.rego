# METADATA
# title: The API answers again in time (RTO)
# description: >-
#   From the moment when etcd began to lose its quorum, or to be stopped for the restore, until every API server answers again no more than max passes.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   params:
#     max:
#       default: 5m
#       description: Longest time until the API answers again, as 90s or 5m.
#   remedy: >-
#     Look which part took the time, and rehearse it; or agree on another objective.
package seatrial.restore.objective

import data.seatrial.lib.quorum

subjects contains subject if some subject, _ in data.world.restores

deny contains {"subject": subject, "msg": msg} if {
	some subject, restore in data.world.restores
	seconds(restore) > max_seconds
	msg := sprintf("took %v s from the loss of the quorum to an API that answers; at most %s is allowed", [round(seconds(restore)), input.params.max])
}

unknown contains {"subject": subject, "msg": "when etcd ended is not known"} if {
	some subject, _ in data.world.restores
	count(data.world.etcdEnds) == 0
}

seconds(restore) := (time.parse_rfc3339_ns(restore.answered) - quorum.gone(ends)) / 1000000000

ends := [time.parse_rfc3339_ns(ended.time) | some _, ended in data.world.etcdEnds]

max_seconds := time.parse_duration_ns(input.params.max) / 1000000000
