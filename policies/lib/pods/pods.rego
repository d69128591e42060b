# What policies of scope moment ask of the pods that a moment touched.
package seatrial.lib.pods

touched contains pod if {
	some key in input.touched.pods
	pod := data.world.pods[key]
}

# A pod that goes without a grace period is gone from the world before anybody saw it being deleted.
touched contains pod if {
	input.event.kind == "object"
	input.event.change == "deleted"
	startswith(input.event.subject, "pod/")
	pod := object.union(input.event.before, {"deleting": true})
}

# What a disruption budget is meant to limit: a pod lost with its node, or taken by its own controller, is not among them.
taken contains pod if {
	some pod in touched
	pod.taken.how in {"evicted", "deleted"}
}

name(pod) := sprintf("pod/%s/%s", [pod.namespace, pod.name])
