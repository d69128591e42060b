# METADATA
# title: All members of the restored etcd hold the same
# description: >-
#   Every member was asked for the hash of its keys and values at the revision that the restored data begins at, all said the same, and all are of one cluster.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   remedy: >-
#     Restore every member from the same snapshot, each with its own name and peers, and with the same --initial-cluster-token.
package seatrial.restore.members_agree

subjects contains member if some member, _ in members

deny contains {"subject": subject, "msg": msg} if {
	some subject, restore in data.world.restores
	count({hash | some hash in restore.hashes; hash != ""}) > 1
	msg := sprintf("the members hold different data: %s", [concat(", ", sort([text | some node, hash in restore.hashes; text := sprintf("%s %s", [node, hash])]))])
}

deny contains {"subject": subject, "msg": msg} if {
	some subject, restore in data.world.restores
	count({id | some id in restore.clusterIds; id != ""}) > 1
	msg := sprintf("the members are of different clusters: %s", [concat(", ", sort([text | some node, id in restore.clusterIds; text := sprintf("%s %s", [node, id])]))])
}

deny contains {"subject": member, "msg": "has nothing of what was restored"} if {
	some member, node in members
	some _, restore in data.world.restores
	restore.hashes[node] == ""
}

# A member that has the data of no backup has what it had.
deny contains {"subject": member, "msg": "was not restored with the others"} if {
	some member, _ in members
	not data.world.etcdReplaced[member]
}

unknown contains {"subject": member, "msg": "was not asked for its hash"} if {
	some member, node in members
	some _, restore in data.world.restores
	not restore.hashes[node]
}

members[member] := ended.node if {
	count(data.world.restores) > 0
	some member, ended in data.world.etcdEnds
}
