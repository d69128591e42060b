# METADATA
# title: What is served is what is on disk
# description: >-
#   A server that has not read its file again goes on with the certificate from before, until that expires (d-37). Each server's certificate, from a
#   handshake, was compared with what its file has.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/
# - ref: https://github.com/kubernetes/kubernetes/issues/98310
# custom:
#   severity: error
#   scope: moment
#   on: [inventories]
#   needs: [checkCertificates, renewCertificates, rotateCA, waitUntilExpired]
#   remedy: >-
#     Restart the component: take its manifest out of /etc/kubernetes/manifests, wait until it has ended, and put it back. Restarting the kubelet
#     restarts no static pod.
package seatrial.certs.served_is_newest

import data.seatrial.lib.certificates

subjects contains subject if some subject, _ in served

deny contains {"subject": subject, "msg": msg} if {
	some subject, c in served
	c.serial != c.newest.serial
	msg := sprintf("is not the one in %s: what is served ends at %s, the one there at %s", [c.path, c.notAfter, c.newest.notAfter])
}

served[subject] := c if {
	some subject, c in certificates.readable
	c.place == "served"
	c.newest
}
