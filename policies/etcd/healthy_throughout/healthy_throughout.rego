# METADATA
# title: The members of etcd are in step, and without an alarm
# description: >-
#   Before an upgrade, after each control plane, after each node and at the end, all members have to follow a leader, to have
#   applied what is committed, and to be without an alarm, and no control plane of old may still have a vote. Whether enough of them serve meanwhile, etcd/quorum_kept says.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/
# custom:
#   severity: error
#   scope: moment
#   on: [etcd]
#   needs: [upgrade, upgradeNode]
#   params:
#     max_behind:
#       default: 1000
#       description: How many committed entries a member may have still to apply.
#   remedy: >-
#     Change one control plane at a time, and wait until etcd's members are in step before the next. An alarm stays until it is
#     disarmed (etcdctl alarm disarm), after its cause is gone. A member whose machine is gone stays until it is removed (etcdctl member remove).
package seatrial.etcd.healthy_throughout

subjects contains subject if some subject, _ in data.world.etcd

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
	not member.silent
}

deny contains {"subject": subject, "msg": msg} if {
	some subject, member in data.world.etcd
	member.behind > input.params.max_behind
	msg := sprintf("has %d committed entries still to apply; at most %d are allowed", [member.behind, input.params.max_behind])
}

deny contains {"subject": subject, "msg": msg} if {
	some subject, member in data.world.etcd
	some stranger in member.strangers
	msg := sprintf("has the member %s, which no control plane of the cluster runs", [stranger])
}
