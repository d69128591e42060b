# METADATA
# title: Nobody trusts the authority of before
# description: >-
#   After the authority was replaced, the old one is in no file and no kubeconfig of any node, and every node has the new one. Whoever has the old key could
#   otherwise still make administrators, and what trusts only the old one is left out (d-40). A pod that has the authority mounted and was not restarted may be such a one. That nothing is left which it signed is certs/issued_by_current_ca.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/
# custom:
#   severity: error
#   scope: run
#   needs: [rotateCA]
#   remedy: >-
#     Trust both authorities everywhere and restart what reads them; issue everything anew, kubelets' certificates and kubeconfigs too; then take the old one
#     out of every file and restart again.
package seatrial.certs.old_ca_gone

import data.seatrial.lib.certificates

subjects contains name if some name, _ in data.world.authorities

deny contains {"subject": subject, "msg": "is the authority that was replaced, and whoever it signed is trusted there"} if {
	some replaced in data.world.authorities
	some subject, c in certificates.readable
	c.authority
	c.serial == replaced.old
}

# The file whose first certificate signs, of those that were not replaced again.
deny contains {"subject": subject, "msg": sprintf("is not the authority %s, which was to take the place of %s", [replaced.new, replaced.old])} if {
	some replaced in data.world.authorities
	every other in data.world.authorities { other.old != replaced.new }
	some subject, c in certificates.readable
	c.place == "disk"
	c.path == "/etc/kubernetes/pki/ca.crt"
	c.part == ""
	c.serial != replaced.new
}

deny contains {"subject": sprintf("node/%s", [node]), "msg": "has no /etc/kubernetes/pki/ca.crt that could be read, so nobody there trusts the new authority"} if {
	count(data.world.authorities) > 0
	some node, _ in data.world.nodes
	not has_authority[node]
}

has_authority contains c.node if {
	some c in certificates.readable
	c.place == "disk"
	c.path == "/etc/kubernetes/pki/ca.crt"
}

unknown contains {"subject": pod, "msg": "runs since before the new authority was published, and what it has read nobody knows: restart it"} if {
	some rotation in data.world.unrestarted
	some pod in rotation.pods
}

unknown contains {"subject": name, "msg": "nobody looked at the certificates after it was replaced"} if {
	some name, replaced in data.world.authorities
	every look in data.world.inventories { time.parse_rfc3339_ns(look.time) < time.parse_rfc3339_ns(replaced.time) }
}

unknown contains {"subject": name, "msg": sprintf("not everything could be looked at: %s", [concat("; ", look.unreadable)])} if {
	some name, _ in data.world.authorities
	some look in data.world.inventories
	time.parse_rfc3339_ns(look.time) == certificates.looked
	count(look.unreadable) > 0
}
