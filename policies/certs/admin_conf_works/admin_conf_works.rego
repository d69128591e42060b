# METADATA
# title: The API knows whoever comes with a kubeconfig of its nodes
# description: >-
#   admin.conf is what people and scripts come with when something is wrong, and a copy of it grows stale without a word (d-41). The API was asked with each
#   kubeconfig on the nodes who its user is, copies in /root/.kube among them.
# related_resources:
# - ref: https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/#generate-kubeconfig-files-for-control-plane-components
# - ref: https://github.com/kubernetes/kubeadm/issues/581
# custom:
#   severity: error
#   scope: moment
#   on: [inventories]
#   needs: [checkCertificates, renewCertificates, rotateCA, waitUntilExpired]
#   remedy: >-
#     Renew it (kubeadm certs renew admin.conf) and copy it again to wherever copies of it are; when all has expired, kubeadm init phase kubeconfig
#     admin makes one from the authority.
package seatrial.certs.admin_conf_works

subjects contains subject if some subject, _ in kubeconfigs

deny contains {"subject": subject, "msg": sprintf("the API does not take it: %s", [c.refusal])} if {
	some subject, c in kubeconfigs
	c.refusal != ""
}

unknown contains {"subject": subject, "msg": "the API was not asked with it"} if {
	some subject, c in kubeconfigs
	not c.asked
}

# One with a problem of its own is certs/usable's. A client certificate may be in a file beside its kubeconfig, as a kubelet's is.
kubeconfigs[subject] := c if {
	some subject, c in data.world.certificates
	c.place == "kubeconfig"
	c.part == ""
	c.problem == ""
}

kubeconfigs[subject] := c if {
	some subject, c in data.world.certificates
	c.component == ""
	c.path == "/var/lib/kubelet/pki/kubelet-client-current.pem"
	c.problem == ""
}

kubeconfigs[subject] := c if {
	some subject, c in data.world.certificates
	c.component == ""
	c.refusal != ""
	c.problem == ""
}
