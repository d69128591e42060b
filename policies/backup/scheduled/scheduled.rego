# METADATA
# title: Backups are taken by themselves, often enough
# description: >-
#   A CronJob that is suspended takes no backup, however well its last Job did, and one whose schedule leaves more than max between two loses more than that.
# related_resources:
# - ref: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-suspension
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# custom:
#   severity: error
#   scope: run
#   needs: [cronJob]
#   params:
#     max:
#       default: 25h
#       description: Longest time between two backups by the schedule, as 25h, for a daily one on the day on which clocks are set back.
#   remedy: >-
#     Set spec.suspend of the CronJob to false, and a spec.schedule that is often enough.
package seatrial.backup.scheduled

subjects contains taken.cronJob.subject if some _, taken in data.world.backups

deny contains {"subject": taken.cronJob.subject, "msg": "is suspended, so it takes no backup by itself"} if {
	some _, taken in data.world.backups
	taken.cronJob.suspended
}

deny contains {"subject": taken.cronJob.subject, "msg": msg} if {
	some _, taken in data.world.backups
	taken.cronJob.longestSeconds > max_seconds
	msg := sprintf("has the schedule %q, which leaves up to %v h between two backups; at most %s are wanted", [taken.cronJob.schedule, round(taken.cronJob.longestSeconds / 3600), input.params.max])
}

deny contains {"subject": taken.cronJob.subject, "msg": msg} if {
	some _, taken in data.world.backups
	taken.cronJob.longestSeconds == 0
	msg := sprintf("has the schedule %q, by which no two backups come within a year", [taken.cronJob.schedule])
}

max_seconds := time.parse_duration_ns(input.params.max) / 1000000000
