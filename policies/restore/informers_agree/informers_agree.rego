# METADATA
# title: Who watched through the restore knows what is there after it
# description: >-
#   Clients that watch go on from the last version that they have seen. When etcd begins at an older one nothing tells them that it was
#   restored: they keep what is not there any more, and miss what is. A client of ours watched namespaces, nodes, services, config maps and
#   deployments from before the first member ended, and was compared with the API after the restore.
# related_resources:
# - ref: https://github.com/etcd-io/etcd/issues/16028
# - ref: https://github.com/kubernetes/kubernetes/issues/118501
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   remedy: >-
#     Restore with etcdutl snapshot restore --bump-revision 1000000000 --mark-compacted, so that clients are told to list anew. Otherwise restart
#     every one of them.
package seatrial.restore.informers_agree

subjects contains restore if some restore, _ in data.world.restores

deny contains {"subject": restore, "msg": sprintf("left a client that watched through it with what it knew before: %s", [concat("; ", informers.stale)])} if {
	some restore, _ in data.world.restores
	informers := data.world.informers[restore]
	count(informers.stale) > 0
}

unknown contains {"subject": restore, "msg": "no client that watched was compared with the API after it"} if {
	some restore, _ in data.world.restores
	not data.world.informers[restore]
}

unknown contains {"subject": restore, "msg": "the client that watched knows no object"} if {
	some restore, _ in data.world.restores
	data.world.informers[restore].objects == 0
}

unknown contains {"subject": restore, "msg": "the client began to watch only after etcd had ended"} if {
	some restore, _ in data.world.restores
	informers := data.world.informers[restore]
	some _, ended in data.world.etcdEnds
	time.parse_rfc3339_ns(informers.since) > time.parse_rfc3339_ns(ended.time)
}
