# METADATA
# title: A backup is taken from a member that has everything
# description: >-
#   A member that is cut off answers questions for a snapshot as well as any other, with what it had when it was cut off. Each backup was taken
#   from a member that answered right before, followed a leader, was no learner, and had applied what the others knew to be committed.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# - ref: https://github.com/gardener/etcd-backup-restore/issues/354
# custom:
#   severity: error
#   scope: run
#   needs: [backup]
#   params:
#     max_behind:
#       default: 1000
#       description: How many committed entries the member may have had still to apply.
#   remedy: >-
#     Ask the members first (etcdctl endpoint status), and take the snapshot from one that is in step; seatrial backup take does.
package seatrial.backup.from_healthy_member

subjects contains backup if some backup, _ in data.world.backups

deny contains {"subject": backup, "msg": sprintf("was taken from etcd/%s, which did not say how it is", [taken.node])} if {
	some backup, taken in data.world.backups
	not taken.member
}

deny contains {"subject": backup, "msg": sprintf("was taken from etcd/%s, which followed no leader: what the others have it may lack", [taken.node])} if {
	some backup, taken in data.world.backups
	taken.member.leader == ""
}

deny contains {"subject": backup, "msg": sprintf("was taken from etcd/%s, which is a learner", [taken.node])} if {
	some backup, taken in data.world.backups
	taken.member.learner
}

deny contains {"subject": backup, "msg": msg} if {
	some backup, taken in data.world.backups
	taken.member.behind > input.params.max_behind
	msg := sprintf("was taken from etcd/%s, which had %d committed entries still to apply; at most %d are allowed", [taken.node, taken.member.behind, input.params.max_behind])
}
