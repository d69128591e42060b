# METADATA
# title: One control plane is restarted at a time
# description: >-
#   While certificates are renewed, no two API servers are away at the same time: the others have to answer for the one that is restarted. Looked at are the
#   answers of each API server while the step lasts. One that lets a request wait, as when etcd has lost its leader, and answers the next within max of its failure, is not away.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/
# custom:
#   severity: error
#   scope: run
#   needs: [renewCertificates, rotateCA]
#   params:
#     max:
#       default: 1s
#       description: Longest time from a request that failed to an answer of a server that is not away, as 200ms, 2s or 1m.
#   remedy: >-
#     Restart the components of one control plane, wait until its API server is ready and etcd has all its members, and only then go on with the next.
package seatrial.certs.one_control_plane_at_a_time

import data.seatrial.lib.certificates

subjects contains probe.subject if some probe in servers

deny contains {"subject": "api", "msg": msg, "interval": one} if {
	some one in away
	some other in away
	one.subject < other.subject
	one.fromSeq < other.toSeq
	other.fromSeq < one.toSeq
	msg := sprintf("%s and %s did not answer at the same time, while certificates were renewed", [one.subject, other.subject])
}

servers contains probe if {
	some probe in data.world.probes
	probe.target == "api"
	probe.subject != "api/balancer"
}

away contains outage if {
	some outage in input.intervals
	outage.condition == "apiOutage"
	outage.subject != "api/balancer"
	certificates.unanswered(outage) > time.parse_duration_ns(input.params.max) / 1000000000
	certificates.renewing(outage)
}
