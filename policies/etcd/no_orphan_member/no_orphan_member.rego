# METADATA
# title: No member of etcd is left that nothing runs
# description: >-
#   A member that a failed join or a removed control plane left behind has a vote: the quorum is smaller than it looks. In the end every member
#   answers, and no other is listed.
# related_resources:
# - ref: https://github.com/kubernetes/kubeadm/issues/1432
# - ref: https://etcd.io/docs/v3.6/op-guide/runtime-configuration/#remove-a-member
# custom:
#   severity: error
#   scope: run
#   needs: [etcd]
#   remedy: >-
#     Remove it: etcdctl member list, and etcdctl member remove ID.
package seatrial.etcd.no_orphan_member

subjects contains member if some member in members

deny contains {"subject": subject, "msg": msg} if {
	some subject, member in data.world.etcd
	count(member.strangers) > 0
	msg := sprintf("lists the member %s, which no control plane of the cluster runs", [concat(" and ", member.strangers)])
}

unknown contains {"subject": subject, "msg": "did not say in the end"} if {
	some subject in members
	not data.world.etcd[subject].membersAsked
}

# What is asked all the while whether it serves.
members contains probe.subject if {
	some probe in data.world.probes
	probe.target == "etcd"
}
