# METADATA
# title: A backup is proven before anything is destroyed for it
# description: >-
#   A backup that was never restored is a hope. Each restore is from a backup that was restored into an etcd that is thrown away, compared,
#   and found to hold, before etcd began to lose its quorum, or was stopped for the restore.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   remedy: >-
#     Verify each backup when it is taken (seatrial backup verify), and again before the data that it is to replace is touched.
package seatrial.backup.verified_before_use

import data.seatrial.lib.quorum

subjects contains backup if some backup, _ in used

deny contains {"subject": backup, "msg": "was restored from, and nobody had restored it anywhere else before to prove it"} if {
	some backup, _ in used
	not data.world.verified[backup]
}

deny contains {"subject": backup, "msg": sprintf("was restored from, although it does not hold: %s", [verified.problem])} if {
	some backup, _ in used
	verified := data.world.verified[backup]
	verified.problem != ""
}

deny contains {"subject": backup, "msg": "was proven only after etcd had lost its quorum"} if {
	some backup, _ in used
	verified := data.world.verified[backup]
	ends := [time.parse_rfc3339_ns(ended.time) | some _, ended in data.world.etcdEnds]
	time.parse_rfc3339_ns(verified.time) > quorum.gone(ends)
}

# What was restored from, also when the restore came to no end.
used[replaced.backup] := true if some _, replaced in data.world.etcdReplaced
