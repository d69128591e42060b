# METADATA
# title: What was restored is what was backed up
# description: >-
#   Every object of the backup is in the restored etcd, and nothing else: resource by resource the number, the identities and the stored values
#   are the same, read at the revision that the restored data begins at.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   remedy: >-
#     Look at the resources that are named with seatrial backup inspect, and at what else writes to etcd while it is restored.
package seatrial.restore.digest_equal

subjects contains subject if some subject, _ in data.world.restores

deny contains {"subject": subject, "msg": msg} if {
	some subject, restore in data.world.restores
	count(restore.differences) > 0
	msg := sprintf("differs from %s: %s", [restore.backup, concat("; ", restore.differences)])
}

deny contains {"subject": subject, "msg": sprintf("has the digest %s, and %s had %s", [restore.digest, restore.backup, restore.backedDigest])} if {
	some subject, restore in data.world.restores
	count(restore.differences) == 0
	restore.digest != ""
	restore.digest != restore.backedDigest
}

unknown contains {"subject": subject, "msg": sprintf("has no digest to compare with that of %s", [restore.backup])} if {
	some subject, restore in data.world.restores
	restore.digest == ""
}

unknown contains {"subject": subject, "msg": sprintf("%s has no objects, so nothing was compared", [restore.backup])} if {
	some subject, restore in data.world.restores
	restore.backed == 0
}
