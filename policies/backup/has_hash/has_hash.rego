# METADATA
# title: A backup has the hash of a snapshot
# description: >-
#   etcd sends a hash after the database that it streams, and nothing else says later that the file is whole. A database file that was
#   copied from a member's folder has none, and may have been copied in the middle of a write.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/#restoring-a-cluster
# custom:
#   severity: error
#   scope: run
#   needs: [verifyBackup]
#   remedy: >-
#     Take backups with etcdctl snapshot save or seatrial backup take, and never by copying member/snap/db.
package seatrial.backup.has_hash

subjects contains backup if some backup, _ in data.world.verified

deny contains {"subject": backup, "msg": "has no hash that anybody could see: it is a copied database file, or its end is missing, or it is no snapshot"} if {
	some backup, verified in data.world.verified
	not verified.hasHash
}
