# What can be told from the answers that a probe had.
package seatrial.lib.probing

# No outage shorter than this can be told from the time between two requests, or from an answer that was slow.
blind(probe) := max({probe.intervalSeconds, patience(probe)})

# How long an answer may take, in seconds, and as a message says it. Recordings from before it was recorded do not say.
patience(probe) := object.get(probe, "patienceSeconds", 0)

given(probe) := sprintf(" and given %v s to answer", [patience(probe)]) if patience(probe) > 0

given(probe) := "" if patience(probe) == 0
