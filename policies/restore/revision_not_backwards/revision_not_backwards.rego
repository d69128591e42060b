# METADATA
# title: The revision of etcd does not go back
# description: >-
#   Clients watch from the last revision that they have seen. When etcd is restored to an older one their watches wait for it in silence, and their
#   caches keep what is not there any more. The restored data begins beyond the last revision that any member said before it
#   ended: at the same one is not enough, since what was written after it was asked is not known.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/#restoring-with-revision-bump
# - ref: https://github.com/kubernetes/kubernetes/issues/118501
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   remedy: >-
#     Restore with etcdutl snapshot restore --bump-revision 1000000000 --mark-compacted.
package seatrial.restore.revision_not_backwards

subjects contains subject if some subject, _ in data.world.restores

deny contains {"subject": subject, "msg": msg} if {
	some subject, restore in data.world.restores
	restore.revision <= last
	msg := sprintf("begins at revision %d, and clients had seen %d", [restore.revision, last])
}

unknown contains {"subject": subject, "msg": "no member of etcd said its revision before it ended"} if {
	some subject, _ in data.world.restores
	count(seen) == 0
}

seen contains ended.revision if {
	some _, ended in data.world.etcdEnds
	ended.answered
}

last := max(seen)
