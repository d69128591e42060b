# METADATA
# title: A backup restores to what was taken
# description: >-
#   Each backup that was tried was whole, its hash was right, and what it restored to has the objects, identities and values that were taken, as its
#   manifest says them.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# custom:
#   severity: error
#   scope: run
#   needs: [verifyBackup]
#   remedy: >-
#     Take it again, and look at the way from the member to where it lies: a disk, a transfer, a script that does not look at exit statuses.
package seatrial.backup.digest_matches

subjects contains backup if some backup, _ in data.world.verified

deny contains {"subject": backup, "msg": sprintf("does not hold: %s", [verified.problem])} if {
	some backup, verified in data.world.verified
	verified.problem != ""
}

unknown contains {"subject": backup, "msg": "has no objects, so nothing was compared"} if {
	some backup, verified in data.world.verified
	verified.problem == ""
	verified.objects == 0
}
