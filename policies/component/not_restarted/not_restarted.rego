# METADATA
# title: No control plane component ends unasked
# description: >-
#   A component that crashed and was started again during the rehearsal makes everything after it doubtful. From the
#   moment on when a fault befell a control plane, components may end because of it, there and on the others; what befalls a worker explains none. During an upgrade
#   the controller manager and the scheduler of a node may end while its API server is replaced: they give
#   up when they can't renew their leases; and all of them may while its kubelet is upgraded, which starts them anew. A control plane that does not run as kubeadm's pods shows none of
#   its components.
# related_resources:
# - ref: https://kubernetes.io/docs/concepts/overview/components/
# custom:
#   severity: error
#   scope: run
#   mayBeEmpty: true
#   remedy: >-
#     Read the component's log in the run's folder, under cluster/logs, and rehearse again.
package seatrial.component.not_restarted

import data.seatrial.lib.plan

subjects contains key if some key, _ in data.world.components

deny contains {"subject": key, "msg": msg} if {
	some key, component in data.world.components
	component.restarts > 0
	not every_end_is_explained(component)
	msg := sprintf("ended unasked %d time(s) and was started again: %s", [component.restarts, component.error])
}

every_end_is_explained(component) if {
	component.restarts == count(component.ends)
	every end in component.ends { explained(component, time.parse_rfc3339_ns(end)) }
}

# Ends of containers are told in whole seconds, which may be before the fault's own.
explained(_, end) if {
	some op in disturbing
	data.world.nodes[op.node].role == "control-plane"
	some happened in input.ops
	happened.id == op.id
	is_string(happened.from) # it was not skipped
	time.parse_rfc3339_ns(happened.from) - 1000000000 <= end
}

explained(component, end) if {
	some kind in upgrades
	kind in input.plan.uses
	component.name in {"kube-controller-manager", "kube-scheduler"}
	replaced(component.node, end)
}

# A kubelet of another minor starts the static pods of its node anew, and was seen to start a new one before the old one had left its port. The op ends when all are up.
explained(component, end) if {
	some op in input.ops
	op.procedure in upgrades
	op.action == "kubelet"
	op.node == component.node
	time.parse_rfc3339_ns(op.from) <= end
	end <= time.parse_rfc3339_ns(op.to)
}

upgrades := {"upgrade", "upgradeNode"}

# The ops that bring about what ends components, as steps or as faults beside them.
disturbing contains op if {
	some op in plan.leaves
	op.procedure in faults
}

disturbing contains op if {
	some op in plan.leaves
	op.procedure == "fault"
	some kind in faults
	op.options[kind]
}

faults := {"powerOff", "cutOff", "fillDisk", "kill", "pause", "etcdNoSpace", "etcdAlarmLeft"}

# They try for ten seconds (--leader-elect-renew-deadline), which may end a little after the API server is back. One that still starts ends at the first request that is refused, and that may be before
# a probe is: probes ask every 200 ms, and are late where a machine is busy.
replaced(node, end) if {
	some outage in input.intervals
	outage.condition == "apiOutage"
	outage.subject == sprintf("api/%s", [node])
	time.parse_rfc3339_ns(outage.from) - 1000000000 <= end
	time.parse_rfc3339_ns(outage.to) + 15000000000 >= end
}
