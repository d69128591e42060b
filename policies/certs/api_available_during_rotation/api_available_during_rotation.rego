# METADATA
# title: The API keeps answering while certificates are renewed
# description: >-
#   Each request through the balancer is on a connection of its own, as of a client that comes then. One that gets no answer gets one when it asks again
#   within max of its failure. With a single control plane there is an outage, and the scenario says how long it may be.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/
# custom:
#   severity: error
#   scope: run
#   needs: [renewCertificates, rotateCA]
#   params:
#     max:
#       default: 1s
#       description: Longest time from a request that failed to an answer, as 200ms, 2s or 1m.
#   remedy: >-
#     Restart one control plane at a time, its API server before its etcd; have a member of etcd that leads hand that on before (moveLeader).
package seatrial.certs.api_available_during_rotation

import data.seatrial.lib.certificates
import data.seatrial.lib.seconds

subjects contains "api/balancer" if data.world.probes["api/balancer"]

deny contains {"subject": "api/balancer", "msg": msg, "interval": outage} if {
	some outage in input.intervals
	outage.condition == "apiOutage"
	outage.subject == "api/balancer"
	again := certificates.unanswered(outage)
	again > time.parse_duration_ns(input.params.max) / 1000000000
	certificates.renewing(outage)
	msg := sprintf("did not answer for %s after a request had failed while certificates were renewed; at most %s is allowed", [seconds.text(again), input.params.max])
}
