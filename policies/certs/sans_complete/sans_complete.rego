# METADATA
# title: Servers are certified for every name that clients know them by
# description: >-
#   The API server is reached through the balancer, by its Service's address and names, and on its node; etcd on its node. A certificate that lacks one of these
#   names is refused by exactly those clients.
# related_resources:
# - ref: https://kubernetes.io/docs/setup/best-practices/certificates/
# custom:
#   severity: error
#   scope: moment
#   on: [inventories]
#   needs: [checkCertificates, renewCertificates, rotateCA, waitUntilExpired]
#   remedy: >-
#     Add the name to apiServer.certSANs (or etcd.local.serverCertSANs) in the ClusterConfiguration, remove the certificate and its key, and run kubeadm
#     init phase certs apiserver; then restart the component.
package seatrial.certs.sans_complete

import data.seatrial.lib.certificates

subjects contains subject if some subject, _ in served

deny contains {"subject": subject, "msg": sprintf("is not certified for %s", [concat(", ", c.missing)])} if {
	some subject, c in served
	count(c.missing) > 0
}

served[subject] := c if {
	some subject, c in certificates.readable
	c.place == "served"
	c.component in {"kube-apiserver", "etcd", "etcd-peer"}
}
