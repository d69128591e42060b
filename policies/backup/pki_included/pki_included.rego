# METADATA
# title: The certificate authorities are kept with a backup
# description: >-
#   A snapshot has what the API knows, and not what proves who is who: a cluster that is made anew from it without the old authorities refuses every kubelet and every kubeconfig, and without
#   the old key every token of a service account. They are kept with each backup, certificates and private keys.
# related_resources:
# - ref: https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/high-availability/#manual-certs
# - ref: https://kubernetes.io/docs/setup/best-practices/certificates/
# custom:
#   severity: error
#   scope: run
#   needs: [backup]
#   remedy: >-
#     Keep /etc/kubernetes/pki of a control plane with every backup: ca, etcd/ca and front-proxy-ca with their keys, sa.pub and sa.key. They open the whole cluster: encrypt them. Where an
#     authority's key is kept elsewhere on purpose, except the policy and say where.
package seatrial.backup.pki_included

# wanted is what kubeadm has people copy to the other control planes, which is what can't be made anew.
wanted := {sprintf("/etc/kubernetes/pki/%s", [file]) |
	some file in ["ca.crt", "ca.key", "etcd/ca.crt", "etcd/ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.pub", "sa.key"]
}

subjects contains backup if some backup, _ in data.world.backups

deny contains {"subject": backup, "msg": msg} if {
	some backup, taken in data.world.backups
	lacking := wanted - {file | some file in taken.pki}
	count(lacking) > 0
	msg := sprintf("is kept without %s", [concat(", ", sort(lacking))])
}
