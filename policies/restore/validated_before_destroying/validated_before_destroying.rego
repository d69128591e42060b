# METADATA
# title: A backup is looked at before anything is replaced by it
# description: >-
#   A script that makes room first and finds the snapshot broken then has lost both. Right before a restore stopped the first component, or at
#   the latest before it replaced the first data, the backup was found to be whole, or it had been proven before that.
# related_resources:
# - ref: https://etcd.io/docs/v3.6/op-guide/recovery/
# - ref: https://github.com/openshift/cluster-etcd-operator/pull/1626
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   remedy: >-
#     Look at the snapshot first: etcdutl snapshot status, and better seatrial backup verify.
package seatrial.restore.validated_before_destroying

subjects contains member if some member, _ in data.world.etcdReplaced

deny contains {"subject": member, "msg": sprintf("had its data replaced by %s before anybody had looked whether that is whole", [replaced.backup])} if {
	some member, replaced in data.world.etcdReplaced
	not looked_at(replaced)
}

looked_at(replaced) if before(data.world.checked[replaced.backup], replaced)

looked_at(replaced) if {
	verified := data.world.verified[replaced.backup]
	verified.problem == ""
	before(verified, replaced)
}

before(look, replaced) if time.parse_rfc3339_ns(look.time) <= time.parse_rfc3339_ns(replaced.time)
