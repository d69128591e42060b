# METADATA
# title: What a component has loaded is what is on disk
# description: >-
#   The controller manager and the scheduler read the client certificate in their kubeconfig once, when they start. One that was started before it was renewed
#   goes on with the old one, and is nobody to the API when that expires, however green kubeadm certs check-expiration is (d-37).
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
package seatrial.certs.loaded_is_newest

subjects contains subject if some subject, _ in loaded

deny contains {"subject": subject, "msg": msg} if {
	some subject, c in loaded
	c.serial != c.newest.serial
	msg := sprintf("runs since %s, and %s was written at %s: it uses the certificate from before%s", [c.since, c.path, c.written, until(c)])
}

loaded[subject] := c if {
	some subject, c in data.world.certificates
	c.place == "loaded"
}

# The one that was there when the steps began, as far as somebody looked.
until(c) := sprintf(", and is nobody to the API from %s on", [before(c).notAfter]) if before(c)

until(c) := "" if not before(c)

before(c) := old if {
	some old in data.first.certificates
	old.node == c.node
	old.path == c.path
	old.place == "kubeconfig"
	old.part == ""
	old.serial != c.newest.serial
}
