# What can be told from the answers that a probe had.
package seatrial.lib.probing

# No outage shorter than this can be told from the time between two requests, or from an answer that was slow.
blind(probe) := max({probe.intervalSeconds, patience(probe)})

# How long an answer may take. Recordings from before it was recorded do not say.
patience(probe) := object.get(probe, "patienceSeconds", 0)
