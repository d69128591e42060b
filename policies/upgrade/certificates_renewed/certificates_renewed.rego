# METADATA
# title: An upgraded control plane has new certificates
# description: >-
#   kubeadm renews a control plane's certificates when it upgrades it, and clusters that are upgraded once a year live on that.
#   Whether the API server's is in use, a handshake says: each is asked before the upgrade and after each control plane. The files of clients and kubeconfigs are compared where all
#   certificates were looked at before the steps and after the upgrade, as with the step checkCertificates; those of etcd, which may stay as it is, are not.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/#automatic-certificate-renewal
# custom:
#   severity: error
#   scope: run
#   needs: [upgrade, upgradeNode]
#   mayBeEmpty: true
#   remedy: >-
#     Leave --certificate-renewal at its default; else renew with kubeadm certs renew all and restart the static pods.
package seatrial.upgrade.certificates_renewed

import data.seatrial.lib.certificates
import data.seatrial.lib.version

subjects contains subject if some subject in served_certificates

served_certificates contains sprintf("certificate/%s/kube-apiserver", [node]) if some node in upgraded

deny contains {"subject": subject, "msg": msg} if {
	some subject in served_certificates
	served := data.world.certificates[subject]
	served.serial == data.first.certificates[subject].serial
	msg := sprintf("is served with the serial number that it had before the upgrade (%s), and ends at %s", [served.serial, served.notAfter])
}

subjects contains subject if some subject, _ in files

deny contains {"subject": subject, "msg": sprintf("has the serial number that it had before the upgrade (%s), and ends at %s", [c.serial, c.notAfter])} if {
	some subject, c in files
	c.serial == data.first.certificates[subject].serial
}

# What kubeadm renews besides what is served, on the nodes that were upgraded.
files[subject] := c if {
	every op in input.ops { looked_after(op) }
	some subject, before in data.first.certificates
	before.component == ""
	before.part == ""
	before.path in {
		"/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/apiserver-kubelet-client.crt", "/etc/kubernetes/pki/apiserver-etcd-client.crt",
		"/etc/kubernetes/pki/front-proxy-client.crt", "/etc/kubernetes/admin.conf", "/etc/kubernetes/controller-manager.conf", "/etc/kubernetes/scheduler.conf",
	}
	before.node in upgraded
	c := data.world.certificates[subject]
}

looked_after(op) if not op.leaf

looked_after(op) if not op.procedure in {"upgrade", "upgradeNode"}

looked_after(op) if time.parse_rfc3339_ns(op.to) <= certificates.looked

unknown contains {"subject": subject, "msg": "was not asked for before the upgrade and after it"} if {
	some subject in served_certificates
	not asked(subject)
}

asked(subject) if {
	data.first.certificates[subject]
	data.world.certificates[subject]
}

# Nodes whose API server has another version than at the beginning.
upgraded contains server.node if {
	some subject, server in version.of("kube-apiserver")
	server.version != data.first.components[subject].version
}
