# METADATA
# title: The API keeps answering
# description: >-
#   The API server, asked through its balancer as clients do, is never silent for longer than max.
#   Single API servers behind the balancer may come and go. The default of one second leaves room for
#   one server to take over from another.
# related_resources:
# - ref: https://kubernetes.io/docs/reference/using-api/health-checks/
# custom:
#   severity: error
#   scope: run
#   params:
#     max:
#       default: 1s
#       description: Longest time without an answer, as 2s or 1m; 1s or more, for an answer may take a second, and what is less can not be told from a slow one.
#   remedy: >-
#     Take down one control plane at a time, and wait until the API server before it is ready again. No API server
#     is ready while etcd has no leader: have the member that leads hand that on before it is ended (etcdctl
#     move-leader; controlPlanes.moveLeader of the step upgrade).
package seatrial.availability.api_outage

import data.seatrial.lib.probing
import data.seatrial.lib.seconds

subjects contains probe.subject if some probe in probes

deny contains {"subject": probe.subject, "msg": msg, "interval": outage} if {
	some probe in probes
	some outage in input.intervals
	outage.condition == "apiOutage"
	outage.subject == probe.subject
	outage.seconds > max_seconds
	msg := sprintf("did not answer for %s; at most %s is allowed%s", [seconds.text(outage.seconds), input.params.max, seen(outage)])
}

# A client that asks too seldom, or waits too long, can't tell.
unknown contains {"subject": probe.subject, "msg": msg} if {
	some probe in probes
	probing.blind(probe) > max_seconds
	msg := sprintf("was asked every %v s%s, so an outage of %s can't be seen", [probe.intervalSeconds, probing.given(probe), input.params.max])
}

seen(outage) := sprintf(" (%s)", [outage.reason]) if outage.reason

seen(outage) := "" if not outage.reason

max_seconds := time.parse_duration_ns(input.params.max) / 1000000000

probes contains probe if {
	some probe in data.world.probes
	probe.subject == "api/balancer"
}
