# METADATA
# title: A backup is not kept on the node that it is to survive
# description: >-
#   A snapshot that lies on the disk of the control plane goes with it. Each backup is kept on another machine or in object storage, and one that
#   was to go there is found there, whole.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#backing-up-an-etcd-cluster
# custom:
#   severity: error
#   scope: run
#   needs: [backup]
#   remedy: >-
#     Take backups into object storage (seatrial backup take s3://BUCKET/KEY), or copy them off the node right away, and look whether they arrived.
package seatrial.backup.off_node

subjects contains backup if some backup, _ in data.world.backups

deny contains {"subject": backup, "msg": sprintf("is on %s only, in %s: what takes the node takes the backup", [taken.node, taken.path])} if {
	some backup, taken in data.world.backups
	taken.kept == "node"
}

deny contains {"subject": backup, "msg": "was to be kept in object storage, and is not there"} if {
	some backup, taken in data.world.backups
	taken.kept == "objectStorage"
	not data.world.stored[backup]
}

deny contains {"subject": backup, "msg": msg} if {
	some backup, stored in data.world.stored
	stored.sizeBytes != data.world.backups[backup].sizeBytes
	msg := sprintf("has %d bytes in object storage, and had %d when it was taken", [stored.sizeBytes, data.world.backups[backup].sizeBytes])
}
