# METADATA
# title: Every certificate can be used
# description: >-
#   A certificate that is damaged, whose key is another one's or missing, or that is not valid yet, works until whoever uses it starts again. Each file, each
#   kubeconfig and each server was read.
# related_resources:
# - ref: https://kubernetes.io/docs/setup/best-practices/certificates/
# custom:
#   severity: error
#   scope: moment
#   on: [inventories]
#   needs: [checkCertificates, renewCertificates, rotateCA, waitUntilExpired]
#   remedy: >-
#     Issue it anew (kubeadm certs renew, or kubeadm init phase certs for one that is missing); for one that is not valid yet, look at the
#     clock of the machine that made it.
package seatrial.certs.usable

import data.seatrial.lib.certificates

subjects contains subject if some subject, _ in data.world.certificates

deny contains {"subject": subject, "msg": c.problem} if {
	some subject, c in data.world.certificates
	c.problem != ""
}

deny contains {"subject": subject, "msg": sprintf("is not valid before %s", [c.notBefore])} if {
	some subject, c in certificates.each
	time.parse_rfc3339_ns(c.notBefore) > certificates.looked
}

unknown contains {"subject": look, "msg": sprintf("not everything could be looked at: %s", [concat("; ", inventory.unreadable)])} if {
	some look, inventory in data.world.inventories
	count(inventory.unreadable) > 0
}
