# METADATA
# title: kube-proxy has the version of the API servers at the end
# description: >-
#   kubeadm upgrades its addons when the last control plane has the new version. One that stays behind was
#   forgotten, and falls out of the supported skew with a later upgrade.
# related_resources:
# - ref: https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-upgrade/
# custom:
#   severity: error
#   scope: run
#   needs: [upgrade]
#   remedy: >-
#     Run kubeadm upgrade on every control plane, or kubeadm upgrade apply phase addon on the last; and look why the DaemonSet does not roll out.
package seatrial.upgrade.addons_at_version

import data.seatrial.lib.version

subjects contains subject if some subject, _ in version.of("kube-proxy")

deny contains {"subject": subject, "msg": msg} if {
	some subject, proxy in version.of("kube-proxy")
	some server in version.of("kube-apiserver")
	proxy.version != server.version
	msg := sprintf("is %s at the end, and the API server of %s is %s", [proxy.version, server.node, server.version])
}
