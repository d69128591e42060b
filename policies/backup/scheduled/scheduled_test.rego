package seatrial.backup.scheduled_test

import data.seatrial.backup.scheduled as policy

job := "cronjob/kube-system/etcd-backup"

world(suspended, longest) := {"backups": {
	"backup/nightly": {"cronJob": {"subject": job, "schedule": "0 3 * * *", "suspended": suspended, "longestSeconds": longest}},
	"backup/by-hand": {"node": "cp-1"},
}}

denied(suspended, longest) := {finding.msg |
	some finding in policy.deny with data.world as world(suspended, longest) with input.params as {"max": "25h"}
	finding.subject == job
}

test_daily if {
	policy.subjects == {job} with data.world as world(false, 86400)
	denied(false, 86400) == set()
	denied(false, 90000) == set()
}

test_suspended if denied(true, 86400) == {"is suspended, so it takes no backup by itself"}

test_weekly if denied(false, 604800) == {`has the schedule "0 3 * * *", which leaves up to 168 h between two backups; at most 25h are wanted`}

test_never if denied(false, 0) == {`has the schedule "0 3 * * *", by which no two backups come within a year`}

test_no_cron_job if policy.subjects == set() with data.world as {"backups": {"backup/by-hand": {"node": "cp-1"}}}
