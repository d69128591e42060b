# METADATA
# title: Kubelets renew their client certificates
# description: >-
#   kubeadm certs renew does not touch the certificate with which a kubelet is known to the API. Unless the kubelet renews it itself, the check is green and the
#   node is gone when it expires (d-38).
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/tls/certificate-rotation/
# - ref: https://github.com/kubernetes/kubeadm/issues/2185
# custom:
#   severity: error
#   scope: moment
#   on: [inventories]
#   needs: [checkCertificates, renewCertificates, rotateCA, waitUntilExpired]
#   remedy: >-
#     Set rotateCertificates: true in /var/lib/kubelet/config.yaml, let kubelet.conf name
#     /var/lib/kubelet/pki/kubelet-client-current.pem in place of holding a certificate, and restart the kubelet. Its requests are approved through the
#     ClusterRoleBinding kubeadm:node-autoapprove-certificate-rotation.
package seatrial.certs.kubelet_rotates

subjects contains subject if some subject, _ in own

deny contains {"subject": subject, "msg": sprintf("nothing renews it: the kubelet does not rotate its certificate, which ends at %s", [c.notAfter])} if {
	some subject, c in own
	not c.rotates
}

# It asks, and nobody approves or signs: the binding that has the controller manager do so is not there, or it has no key.
deny contains {"subject": sprintf("node/%s", [name]), "msg": sprintf("its kubelet asks for a new client certificate since %s: nothing has come of %s", [asked.since, concat(", ", asked.pending)])} if {
	some name, asked in data.world.clientRequests
	count(asked.pending) > 0
}

unknown contains {"subject": sprintf("node/%s", [name]), "msg": "its kubelet's client certificate was not found"} if {
	some name, _ in data.world.nodes
	not name in {c.node | some c in own}
}

# The kubelet's own: in the file that it writes, or inside kubelet.conf, where nothing renews it.
own[subject] := c if {
	some subject, c in data.world.certificates
	c.component == ""
	c.path == "/var/lib/kubelet/pki/kubelet-client-current.pem"
	not held[c.node]
}

own[subject] := c if {
	some subject, c in data.world.certificates
	c.component == ""
	c.path == "/etc/kubernetes/kubelet.conf"
	c.part == ""
}

held contains c.node if {
	some c in data.world.certificates
	c.component == ""
	c.path == "/etc/kubernetes/kubelet.conf"
	c.part == ""
}
