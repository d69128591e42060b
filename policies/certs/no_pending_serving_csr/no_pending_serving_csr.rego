# METADATA
# title: No kubelet waits for its serving certificate
# description: >-
#   A kubelet that asks the cluster for its serving certificate (serverTLSBootstrap) waits until somebody approves: nothing does so by itself. Until then there
#   are no logs, no exec and no metrics of its pods (d-39).
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/#kubelet-serving-certs
# - ref: https://github.com/kubernetes/kubernetes/issues/73356
# custom:
#   severity: error
#   scope: moment
#   on: [inventories]
#   needs: [checkCertificates, renewCertificates, rotateCA, waitUntilExpired]
#   remedy: >-
#     Approve them (kubectl certificate approve) after looking whether each names the node that asks, or run an approver that does.
package seatrial.certs.no_pending_serving_csr

subjects contains sprintf("node/%s", [name]) if some name, _ in data.world.servingRequests

deny contains {"subject": sprintf("node/%s", [name]), "msg": msg} if {
	some name, asked in data.world.servingRequests
	count(asked.pending) > 0
	msg := sprintf("its kubelet waits for a serving certificate since %s: nothing has come of %s", [asked.since, concat(", ", asked.pending)])
}
