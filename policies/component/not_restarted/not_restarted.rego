# METADATA
# title: No control plane component ends unasked
# description: >-
#   A component that crashed and was started again during the rehearsal makes everything after it doubtful. A
#   rehearsal with power cuts is left out: there, components may end because of what was done. A
#   control plane that does not run as kubeadm's pods shows none of its components.
# related_resources:
# - ref: https://kubernetes.io/docs/concepts/overview/components/
# custom:
#   severity: error
#   scope: run
#   mayBeEmpty: true
#   remedy: >-
#     Read the component's log in the run's folder, under cluster/logs, and rehearse again.
package seatrial.component.not_restarted

subjects contains key if some key, _ in data.world.components

deny contains {"subject": key, "msg": msg} if {
	some key, component in data.world.components
	component.restarts > 0
	not "powerOff" in input.plan.uses
	msg := sprintf("ended unasked %d time(s) and was started again: %s", [component.restarts, component.error])
}
