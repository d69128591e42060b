# METADATA
# title: No certificate expires within days
# description: >-
#   In the end every certificate, on disk, in a kubeconfig or served, is valid for longer than min, wherever it is. kubeadm's live a year, and
#   nothing renews them but an upgrade or kubeadm certs renew. certs/expires_soon warns earlier.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/
# custom:
#   severity: error
#   scope: run
#   needs: [checkCertificates, renewCertificates, rotateCA, waitUntilExpired]
#   params:
#     min:
#       default: 168h
#       description: How long every certificate has to be valid at least, as 30m or 168h.
#   remedy: >-
#     Renew it: kubeadm certs renew all on each control plane, and then restart the static pods there.
package seatrial.certs.none_expires_within

import data.seatrial.lib.certificates

subjects contains subject if some subject, _ in certificates.each

deny contains finding if some finding in certificates.expiring

# Whose clock is wrong takes it for valid, or not, at another time than we do.
unknown contains {"subject": subject, "msg": sprintf("the clock there is %d s ahead of ours", [round(c.clockSeconds)])} if {
	some subject, c in certificates.each
	abs(c.clockSeconds) > 60
}
