# METADATA
# title: The data of old is kept until the restore is known to be good
# description: >-
#   When the restore dies half way, what the members had before is all that is left. Each member that had data when it was stopped still has it,
#   in another folder.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   remedy: >-
#     Move the data directory away (mv /var/lib/etcd/member ...) instead of removing it, and remove it when the restored cluster has been judged.
package seatrial.restore.old_data_kept

subjects contains member if some member, _ in data.world.etcdReplaced

deny contains {"subject": member, "msg": "had its data removed by the restore"} if {
	some member, replaced in data.world.etcdReplaced
	replaced.removed
	not data.world.etcdEnds[member].lost
}

deny contains {"subject": member, "msg": sprintf("had data when it was stopped, and none is in %s after the restore", [data.world.etcdKept[member].folder])} if {
	some member in had_data
	data.world.etcdKept[member].sizeBytes == 0
}

unknown contains {"subject": member, "msg": "had data when it was stopped, and nobody looked where that is after the restore"} if {
	some member in had_data
	not data.world.etcdKept[member]
}

# Members whose data was to be kept.
had_data contains member if {
	some member, replaced in data.world.etcdReplaced
	not replaced.removed
	not data.world.etcdEnds[member].lost
}
