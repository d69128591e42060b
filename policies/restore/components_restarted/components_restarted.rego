# METADATA
# title: What remembers the time before is started again after a restore
# description: >-
#   API servers, controller managers and schedulers keep in memory what they have read, so they may act on what is not there any more. Each of
#   them was started after the last member of etcd got its new data.
# related_resources:
# - ref: https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#restoring-an-etcd-cluster
# - ref: https://github.com/kubernetes/kubernetes/issues/95958
# custom:
#   severity: error
#   scope: run
#   needs: [restore]
#   remedy: >-
#     Stop the control planes before the restore (move their manifests out of /etc/kubernetes/manifests), and start them after it.
package seatrial.restore.components_restarted

names := {"kube-apiserver", "kube-controller-manager", "kube-scheduler"}

subjects contains component if {
	some component, _ in after
	name(component) in names
}

deny contains {"subject": component, "msg": sprintf("runs since %s, and etcd was restored at %s", [started.time, replaced_at])} if {
	some component, started in after
	name(component) in names
	time.parse_rfc3339_ns(started.time) + slack(started) < replaced_ns
}

unknown contains {"subject": component, "msg": sprintf("runs since %s or up to %v s later, and etcd was restored at %s", [started.time, started.withinSeconds, replaced_at])} if {
	some component, started in after
	name(component) in names
	since := time.parse_rfc3339_ns(started.time)
	since < replaced_ns
	since + slack(started) >= replaced_ns
}

unknown contains {"subject": restore, "msg": sprintf("since when each %s runs is not known", [missing])} if {
	some restore, _ in data.world.restores
	some missing in names
	count([component | some component, started in after; started.restore == restore; name(component) == missing]) < count(data.world.etcdEnds)
}

after := data.world.starts

name(component) := split(component, "/")[2]

slack(started) := started.withinSeconds * 1000000000

# replaced_ns is when the last member got its data, and replaced_at the same as it is written.
replaced_ns := max({time.parse_rfc3339_ns(replaced.time) | some _, replaced in data.world.etcdReplaced})

replaced_at := min({replaced.time | some _, replaced in data.world.etcdReplaced; time.parse_rfc3339_ns(replaced.time) == replaced_ns})
