package seatrial.procedure.completed_test

import data.seatrial.procedure.completed

op(id, state) := {"id": id, "state": state, "leaf": true, "error": "", "blockers": []}

ops(list) := {"ops": list}

test_all_done if {
	done := ops([op("a", "done"), {"id": "parent", "state": "done", "leaf": false}])
	completed.subjects == {"op/a"} with input as done
	completed.deny == set() with input as done
	completed.unknown == set() with input as done
}

test_failed if {
	failed := object.union(op("a", "failed"), {"error": "timed out", "blockers": [
		{"subject": "pod/p/web-1", "budget": "poddisruptionbudget/p/web", "reason": "allows 0"},
		{"subject": "pod/p/bare", "reason": "no controller"},
	]})
	some finding in completed.deny with input as ops([failed, op("b", "skipped")])
	finding.subject == "op/a"
	finding.msg == concat("", [
		"failed: timed out; in its way: ",
		"pod/p/web-1 (poddisruptionbudget/p/web: allows 0); pod/p/bare (no controller)",
	])
	count(completed.deny) == 1 with input as ops([failed, op("b", "skipped")])
}

test_failed_without_blockers if {
	some finding in completed.deny with input as ops([object.union(op("a", "failed"), {"error": "no such node"})])
	finding.msg == "failed: no such node"
}

test_left_out if {
	some finding in completed.deny with input as ops([op("a", "done"), op("b", "pending")])
	finding.subject == "op/b"
}

test_errored if {
	doubts := completed.unknown with input as ops([object.union(op("a", "errored"), {"error": "lost the connection"})])
	doubts == {{"subject": "op/a", "msg": "errored: lost the connection"}}
}
