# METADATA
# title: The restored etcd is a new cluster
# description: >-
#   A member of old that comes back must not take part: the restored cluster has another id than the one that the backup was taken from.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   remedy: >-
#     Restore with an --initial-cluster-token that was never used before.
package seatrial.restore.new_cluster_id

subjects contains subject if some subject, _ in data.world.restores

deny contains {"subject": subject, "msg": msg} if {
	some subject, restore in data.world.restores
	some node, id in restore.clusterIds
	id == data.world.backups[restore.backup].clusterId
	msg := sprintf("etcd/%s has the id %s, which the cluster of old had", [node, id])
}

unknown contains {"subject": subject, "msg": sprintf("what the id was when %s was taken is not known", [restore.backup])} if {
	some subject, restore in data.world.restores
	not data.world.backups[restore.backup].clusterId
}
