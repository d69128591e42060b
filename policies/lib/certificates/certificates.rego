# What policies ask of the certificates that were looked at.
package seatrial.lib.certificates

# Those that were read: with a serial number, so no key alone, and nothing that has a problem instead.
readable[subject] := c if {
	some subject, c in data.world.certificates
	c.serial != ""
}

# When the last look was, in nanoseconds.
looked := max({time.parse_rfc3339_ns(look.time) | some look in data.world.inventories})

ends(c) := time.parse_rfc3339_ns(c.notAfter)

# A certificate that a component made for itself when it started: nobody signed it, and it is in no file.
self_made(c) if {
	c.place == "served"
	c.path == ""
}

# What a kubeconfig trusts.
trusted(c) if {
	c.place == "kubeconfig"
	c.part != ""
}

# The same certificate once more: what a kubeconfig trusts is in the authority's own file too, unless that was renewed with its key and not put there.
again(c) if {
	trusted(c)
	authorities[c.node][c.serial]
}

# The serial numbers of the authorities in files of their own, by node.
authorities[node][c.serial] if {
	some c in readable
	c.place == "disk"
	c.authority
	node := c.node
}

# The same certificate once more: what a component has loaded is in a file too.
again(c) if c.place == "loaded"

# Certificates of those that are read that left is about: each once.
each[subject] := c if {
	some subject, c in readable
	not again(c)
}

# How long it is valid after the last look, in nanoseconds.
left(c) := ends(c) - looked

# Those that end within the parameter min of the last look, or before it, and what is to be said of them.
expiring contains {"subject": subject, "msg": sprintf("expires at %s, within %s", [c.notAfter, input.params.min])} if {
	some subject, c in each
	left(c) > 0
	left(c) < time.parse_duration_ns(input.params.min)
}

expiring contains {"subject": subject, "msg": sprintf("has expired, at %s", [c.notAfter])} if {
	some subject, c in each
	left(c) <= 0
}

# How long a server or balancer did not answer after a request had failed, in seconds.
unanswered(outage) := outage.seconds - object.get(outage, "firstSeconds", 0)

# Intervals that fall into a time in which certificates were renewed.
renewing(interval) if {
	some op in input.ops
	op.procedure in {"renewCertificates", "rotateCA"}
	interval.fromSeq < op.toSeq
	op.fromSeq < interval.toSeq
}
