# METADATA
# title: Probed Services keep answering
# description: >-
#   A client that asks a Service again and again is never left without an answer for longer than max.
#   The default of one second is what a client with an ordinary retry does not notice.
# related_resources:
# - ref: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
# custom:
#   severity: error
#   scope: run
#   needs: [probe]
#   params:
#     max:
#       default: 1s
#       description: Longest time without an answer, as 2s or 1m; 1s or more, for an answer may take a second, and what is less can not be told from a slow one.
#   remedy: >-
#     Give the workload more replicas, a readiness probe that tells the truth, a preStop delay so that
#     endpoints go before the pod does, and a disruption budget.
package seatrial.availability.service_outage

import data.seatrial.lib.probing
import data.seatrial.lib.seconds

subjects contains probe.subject if some probe in probes

deny contains {"subject": probe.subject, "msg": msg, "interval": outage} if {
	some probe in probes
	some outage in input.intervals
	outage.condition == "serviceOutage"
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
	probe.target == "service"
}
