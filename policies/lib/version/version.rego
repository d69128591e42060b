# Versions of Kubernetes as programs report them: "v1.34.4".
package seatrial.lib.version

minor(v) := to_number(split(v, ".")[1])

of(name) := {subject: c |
	some subject, c in data.world.components
	c.name == name
	c.version != ""
}

# The minors of the API servers that there are.
served := {minor(c.version) | some c in of("kube-apiserver")}

# The API servers of the oldest minor, for messages.
oldest := concat(", ", [sprintf("%s: %s", [c.node, c.version]) |
	some c in of("kube-apiserver")
	minor(c.version) == min(served)
])
