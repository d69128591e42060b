# METADATA
# title: An upgraded API server serves a new certificate
# description: >-
#   kubeadm renews a control plane's certificates when it upgrades it, and clusters that are upgraded once a year live on that.
#   Whether the renewed one is in use, a handshake says: each API server is asked before the upgrade and after each control plane. Certificates that
#   nobody serves (those of kubeconfigs and of clients) are not looked at here.
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

import data.seatrial.lib.version

subjects contains sprintf("certificate/%s/kube-apiserver", [node]) if some node in upgraded

deny contains {"subject": subject, "msg": msg} if {
	some subject in subjects
	served := data.world.certificates[subject]
	served.serial == data.first.certificates[subject].serial
	msg := sprintf("is served with the serial number that it had before the upgrade (%s), and ends at %s", [served.serial, served.notAfter])
}

unknown contains {"subject": subject, "msg": "was not asked for before the upgrade and after it"} if {
	some subject in subjects
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
