# METADATA
# title: Every certificate is signed by an authority that the cluster has now
# description: >-
#   A certificate whose issuer is not among the authorities on its node is refused by whoever trusts only those. One that an authority signed which has been
#   replaced is refused as soon as that is trusted no more (d-40).
# related_resources:
# - ref: https://kubernetes.io/docs/setup/best-practices/certificates/
# custom:
#   severity: error
#   scope: moment
#   on: [inventories]
#   needs: [checkCertificates, renewCertificates, rotateCA, waitUntilExpired]
#   remedy: >-
#     Issue it anew with the authority of now: kubeadm certs renew; for a kubelet, remove its client certificate and let it join again.
package seatrial.certs.issued_by_current_ca

import data.seatrial.lib.certificates

subjects contains subject if some subject, _ in signed

subjects contains subject if some subject, _ in trusts

deny contains {"subject": subject, "msg": sprintf("no authority on %s has signed it; it names %s", [c.node, c.issuer])} if {
	some subject, c in signed
	c.signer == ""
}

deny contains {"subject": subject, "msg": sprintf("was signed by an authority in %s that has been replaced", [c.signer])} if {
	some subject, c in signed
	c.replaced
}

deny contains {"subject": subject, "msg": sprintf("is none of the authorities on %s, and whoever comes with this kubeconfig trusts no other", [c.node])} if {
	some subject, c in trusts
	c.signer == ""
}

# Every control plane has the same: else what one of them signs is refused by the others.
deny contains {"subject": subject, "msg": sprintf("is another one than %s has in %s", [other.node, c.path])} if {
	some subject, c in certificates.each
	c.authority
	c.place == "disk"
	c.part == ""
	some other in certificates.each
	other.place == "disk"
	other.path == c.path
	other.part == ""
	other.node < c.node
	other.serial != c.serial
}

# The same holds for the key that tokens of service accounts are verified with.
deny contains {"subject": subject, "msg": sprintf("is another key than %s has in %s", [other.node, c.path])} if {
	some subject, c in accounts
	some other in accounts
	other.node < c.node
	other.subject != c.subject
}

accounts[subject] := c if {
	some subject, c in data.world.certificates
	c.path == "/etc/kubernetes/pki/sa.pub"
	c.problem == ""
}

trusts[subject] := c if {
	some subject, c in certificates.readable
	certificates.trusted(c)
}

signed[subject] := c if {
	some subject, c in certificates.each
	not c.authority
	not certificates.self_made(c)
}
