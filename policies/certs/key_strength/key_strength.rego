# METADATA
# title: Keys are strong enough
# description: >-
#   RSA keys have at least 2048 bits and elliptic curves at least 256, those of authorities and of service account tokens too: kubeadm's default is RSA-2048.
# related_resources:
# - ref: https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/#kubeadm-k8s-io-v1beta4-EncryptionAlgorithmType
# - ref: https://csrc.nist.gov/pubs/sp/800/57/pt1/r5/final
# custom:
#   severity: error
#   scope: moment
#   on: [inventories]
#   needs: [checkCertificates, renewCertificates, rotateCA, waitUntilExpired]
#   remedy: >-
#     Make a new key (encryptionAlgorithm in the ClusterConfiguration) and issue what it signs anew.
package seatrial.certs.key_strength

subjects contains subject if some subject, _ in keys

deny contains {"subject": subject, "msg": sprintf("its key is %s with %d bits; at least %d are wanted", [c.keyKind, c.keyBits, least[c.keyKind]])} if {
	some subject, c in keys
	c.keyBits < least[c.keyKind]
}

unknown contains {"subject": subject, "msg": "its key is of a kind that is not known"} if {
	some subject, c in keys
	not least[c.keyKind]
}

least := {"RSA": 2048, "ECDSA": 256, "Ed25519": 256}

keys[subject] := c if {
	some subject, c in data.world.certificates
	c.keyKind != ""
}
