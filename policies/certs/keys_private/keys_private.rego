# METADATA
# title: Only their owner can read private keys
# description: >-
#   Whoever reads the key of an authority can become anybody. Files with keys, kubeconfigs among them, have no permissions for a group or for others, as kubeadm
#   and the kubelet make them.
# related_resources:
# - ref: https://kubernetes.io/docs/setup/best-practices/certificates/
# - ref: https://www.cisecurity.org/benchmark/kubernetes
# custom:
#   severity: error
#   scope: moment
#   on: [inventories]
#   needs: [checkCertificates, renewCertificates, rotateCA, waitUntilExpired]
#   remedy: >-
#     chmod 600 the file that the finding names, and look who could read it until now: a key that others may have read is one to replace.
package seatrial.certs.keys_private

subjects contains subject if some subject, _ in files

deny contains {"subject": subject, "msg": sprintf("its key is in a file that others may read: its mode is %s", [c.keyMode])} if {
	some subject, c in files
	not endswith(c.keyMode, "00")
}

files[subject] := c if {
	some subject, c in data.world.certificates
	c.keyMode != ""
}
