# METADATA
# title: The API servers are within one minor of each other
# description: >-
#   While a cluster with several control planes is upgraded, its API servers may differ by one minor and
#   no more.
# related_resources:
# - ref: https://kubernetes.io/releases/version-skew-policy/#kube-apiserver
# custom:
#   severity: error
#   scope: moment
#   on: [components]
#   needs: [upgrade, upgradeNode]
#   remedy: >-
#     Upgrade every control plane to a minor before the first goes on to the next.
package seatrial.skew.apiservers

import data.seatrial.lib.version

subjects contains subject if some subject, _ in version.of("kube-apiserver")

deny contains {"subject": subject, "msg": msg} if {
	some subject, server in version.of("kube-apiserver")
	newest := max(version.served)
	version.minor(server.version) < newest - 1
	msg := sprintf("is %s, and another API server is of minor %d; at most one minor may be between them", [server.version, newest])
}
