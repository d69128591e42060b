# METADATA
# title: Secrets can be read after a restore
# description: >-
#   With another encryption key than Secrets were written with, every API server starts, and none of them can read one; one that knows bootstrap
#   tokens, which are Secrets, is never ready. Each was asked for Secrets, the first hundred, after the restore.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
# - ref: https://github.com/kubernetes/website/issues/37651
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   remedy: >-
#     Back the encryption configuration up with etcd, and give it to the API servers before they start (--encryption-provider-config).
package seatrial.restore.secrets_readable

subjects contains restore if some restore, _ in data.world.restores

deny contains {"subject": restore, "msg": sprintf("Secrets can't be read: %s", [read.problem])} if {
	some restore, read in data.world.secretsRead
	read.problem != ""
}

unknown contains {"subject": restore, "msg": sprintf("no Secret was read, and the backup holds %d", [read.secrets])} if {
	some restore, read in data.world.secretsRead
	read.problem == ""
	read.secrets > 0
	read.read == 0
}

unknown contains {"subject": restore, "msg": sprintf("%d of %d Secrets were read", [read.read, read.asked])} if {
	some restore, read in data.world.secretsRead
	read.problem == ""
	read.read > 0
	read.read < read.asked
}

unknown contains {"subject": restore, "msg": "nobody tried to read Secrets"} if {
	some restore, _ in data.world.restores
	not data.world.secretsRead[restore]
}
