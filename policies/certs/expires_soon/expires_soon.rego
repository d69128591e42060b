# METADATA
# title: No certificate expires within a month
# description: >-
#   In the end every certificate, on disk, in a kubeconfig or served, is valid for longer than min, wherever it is. kubeadm's live a year, and
#   nothing renews them but an upgrade or kubeadm certs renew. certs/none_expires_within fails later.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/
# custom:
#   severity: warning
#   scope: run
#   needs: [checkCertificates, renewCertificates, rotateCA, waitUntilExpired]
#   params:
#     min:
#       default: 720h
#       description: How long every certificate has to be valid at least, as 30m or 168h.
#   remedy: >-
#     Renew it: kubeadm certs renew all on each control plane, and then restart the static pods there.
package seatrial.certs.expires_soon

import data.seatrial.lib.certificates

subjects contains subject if some subject, _ in certificates.each

deny contains finding if some finding in certificates.expiring
