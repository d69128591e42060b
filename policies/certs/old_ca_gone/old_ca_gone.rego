# METADATA
# title: Nobody trusts the authority of before, and nothing that it signed is used
# description: >-
#   After the authority was replaced, the old one is in no file and no kubeconfig, and every certificate that it had signed was issued anew. Whoever has
#   the old key could otherwise still make administrators; and what trusts only the old one is left out (d-40).
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

deny contains {"subject": name, "msg": sprintf("was to be replaced by %s, which is on no control plane", [replaced.new])} if {
	some name, replaced in data.world.authorities
	every c in certificates.readable { c.serial != replaced.new }
}

unknown contains {"subject": name, "msg": "nobody looked at the certificates after it was replaced"} if {
	some name, replaced in data.world.authorities
	every look in data.world.inventories { time.parse_rfc3339_ns(look.time) < time.parse_rfc3339_ns(replaced.time) }
}
