# METADATA
# title: etcd keeps its quorum, and its members are in step
# description: >-
#   With a majority of its members away etcd takes no writes, and a restart of one more may lose the cluster. Every member is asked twice
#   a second whether it answers. Before an upgrade, and after each control plane, all have to follow one leader, to have
#   applied what is committed, and to be without an alarm. One member alone has no quorum to lose; whether the API was away, availability/api_outage says.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/failures/
# - ref: https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/
# custom:
#   severity: error
#   scope: moment
#   on: [etcd, probes]
#   needs: [upgrade, upgradeNode]
#   params:
#     max_behind:
#       default: 1000
#       description: How many committed entries a member may have still to apply.
#   remedy: >-
#     Change one control plane at a time, and wait until etcd's members are in step before the next. An alarm stays until it is
#     disarmed (etcdctl alarm disarm), after its cause is gone.
package seatrial.etcd.healthy_throughout

subjects contains subject if some subject, _ in data.world.etcd

deny contains {"subject": "etcd", "msg": msg} if {
	count(members) > 1
	2 * (count(members) - count(silent)) <= count(members)
	msg := sprintf("has no quorum: %d of %d members do not answer (%s)", [count(silent), count(members), concat("; ", silent)])
}

deny contains {"subject": subject, "msg": msg} if {
	some subject, member in data.world.etcd
	count(member.alarms) > 0
	msg := sprintf("has the alarm %s", [concat(" and ", member.alarms)])
}

deny contains {"subject": subject, "msg": msg} if {
	some subject, member in data.world.etcd
	member.learner
	msg := "is a learner, which has no vote"
}

deny contains {"subject": subject, "msg": "knows no leader"} if {
	some subject, member in data.world.etcd
	member.leader == ""
}

deny contains {"subject": subject, "msg": msg} if {
	some subject, member in data.world.etcd
	behind := member.committed - member.applied
	behind > input.params.max_behind
	msg := sprintf("has %d committed entries still to apply; at most %d are allowed", [behind, input.params.max_behind])
}

members contains probe if {
	some probe in data.world.probes
	probe.target == "etcd"
}

silent contains sprintf("%s: %s", [probe.subject, probe.error]) if {
	some probe in members
	not probe.ok
}
