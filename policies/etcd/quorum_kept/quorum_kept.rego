# METADATA
# title: etcd keeps its quorum
# description: >-
#   Without a majority of its members etcd takes no writes, and one more that is restarted may lose the cluster. Every member is asked twice a second
#   whether it answers and follows a leader. The default of max leaves room for one late answer, and for the election of another leader when
#   the old one is stopped, which takes up to two seconds with etcd's defaults. One member alone has no quorum to lose; whether the API was away, availability/api_outage says.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/failures/
# - ref: https://etcd.io/docs/v3.6/tuning/#time-parameters
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/
# custom:
#   severity: error
#   scope: run
#   needs: [upgrade, upgradeNode]
#   params:
#     max:
#       default: 3s
#       description: Longest time without a quorum, as 2s or 1m; 1s or more, for an answer may take a second.
#   remedy: >-
#     Change one control plane at a time, and wait until etcd's members are in step before the next.
package seatrial.etcd.quorum_kept

import data.seatrial.lib.probing
import data.seatrial.lib.seconds

subjects contains "etcd" if some _ in members

deny contains {"subject": "etcd", "msg": msg, "interval": lost} if {
	some lost in input.intervals
	lost.condition == "etcdQuorumLost"
	lost.seconds > max_seconds
	msg := sprintf("had no quorum for %s; at most %s is allowed (%s)", [seconds.text(lost.seconds), input.params.max, lost.reason])
}

# Who asks too seldom, or waits too long, can't tell.
unknown contains {"subject": "etcd", "msg": msg} if {
	some member in members
	probing.blind(member) > max_seconds
	msg := sprintf("%s was asked every %v s%s, so %s without a quorum can't be seen", [member.subject, member.intervalSeconds, probing.given(member), input.params.max])
}

max_seconds := time.parse_duration_ns(input.params.max) / 1000000000

members contains probe if {
	some probe in data.world.probes
	probe.target == "etcd"
}
