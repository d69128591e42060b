# METADATA
# title: No alarm of etcd is left
# description: >-
#   An alarm stays after its cause is gone, until somebody disarms it, and until then etcd takes no writes. In the end every member answers, and
#   none has an alarm.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota
# custom:
#   severity: error
#   scope: run
#   needs: [etcd]
#   remedy: >-
#     Make room (etcdctl compact, then etcdctl defrag on each member), and then etcdctl alarm disarm.
package seatrial.etcd.no_alarm

subjects contains member if some member in members

deny contains {"subject": subject, "msg": msg} if {
	some subject, member in data.world.etcd
	count(member.alarms) > 0
	msg := sprintf("has the alarm %s", [concat(" and ", member.alarms)])
}

unknown contains {"subject": subject, "msg": "did not say in the end"} if {
	some subject in members
	not data.world.etcd[subject].alarmsAsked
}

# What is asked all the while whether it serves.
members contains probe.subject if {
	some probe in data.world.probes
	probe.target == "etcd"
}
