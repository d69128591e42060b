# METADATA
# title: The backup is young enough (RPO)
# description: >-
#   What was written between the backup and the moment when etcd had lost its quorum is lost. That is no more than max.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   params:
#     max:
#       default: 24h
#       description: Oldest that a backup may be when etcd has lost its quorum, as 1h.
#   remedy: >-
#     Take backups more often.
package seatrial.backup.fresh

import data.seatrial.lib.quorum

subjects contains backup if some backup, _ in used

deny contains {"subject": backup, "msg": msg} if {
	some backup, age in used
	age > max_seconds
	msg := sprintf("was %v s old when etcd had lost its quorum; at most %s may be lost", [round(age), input.params.max])
}

used[restore.backup] := age if {
	some _, restore in data.world.restores
	taken := time.parse_rfc3339_ns(data.world.backups[restore.backup].time)
	age := (quorum.gone([time.parse_rfc3339_ns(ended.until) | some _, ended in data.world.etcdEnds]) - taken) / 1000000000
}

max_seconds := time.parse_duration_ns(input.params.max) / 1000000000
