# METADATA
# title: Every webhook that must be asked can answer
# description: >-
#   What an admission webhook with failurePolicy Fail is asked about is refused while nobody answers: a pod that
#   a drain has evicted is not made again. Worst is a webhook that is asked about its own pods: when its last one
#   is evicted, nothing brings it back. One that is asked about other pods and has one endpoint keeps those that are evicted from being made again until its own pod is elsewhere. A webhook with a URL can't be looked at, and object selectors are not; nor
#   is where the pods are: two on one node leave together.
# related_resources:
# - ref: https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/
# - ref: https://github.com/kyverno/kyverno/issues/16177
# custom:
#   severity: error
#   scope: plan
#   needs: [upgrade, upgradeNode]
#   mayBeEmpty: true
#   remedy: >-
#     Run at least two pods on different nodes behind the webhook's service and give them a budget, leave their namespace out of its namespaceSelector,
#     or set failurePolicy to Ignore for the time of the upgrade.
package seatrial.upgrade.webhooks_can_answer

import data.seatrial.lib.plan

subjects contains webhook.configuration if some webhook in asked

deny contains {"subject": webhook.configuration, "msg": msg, "change": change} if {
	some webhook in asked
	ready(webhook) == 0
	msg := sprintf("fails what it is asked about: %s asks service/%s, which has no ready endpoint", [webhook.name, webhook.service])
	change := sprintf("bring up the pods of service/%s, or set failurePolicy of %s to Ignore", [webhook.service, webhook.name])
}

deny contains {"subject": webhook.configuration, "msg": msg, "change": change} if {
	some webhook in asked
	count(plan.drained_nodes) > 0
	webhook.ownPods
	ready(webhook) == 1
	msg := sprintf("stands in its own way: %s is asked about the pods of its own service/%s, of which one is ready; when that is evicted, no pod can be made there", [webhook.name, webhook.service])
	change := sprintf("run a second pod behind service/%s, or leave its namespace out of the namespaceSelector of %s", [webhook.service, webhook.name])
}

deny contains {"subject": webhook.configuration, "msg": msg, "change": change} if {
	some webhook in asked
	count(plan.drained_nodes) > 0
	webhook.newPods
	not webhook.ownPods
	ready(webhook) == 1
	msg := sprintf("has one endpoint: %s asks service/%s about new pods, and while the one pod behind it is moved none of them can be made", [webhook.name, webhook.service])
	change := sprintf("run a second pod behind service/%s, on another node", [webhook.service])
}

# What manifests promise has no endpoints yet.
asked contains webhook if {
	not data.world.promised
	some webhook in data.world.webhooks
	webhook.failurePolicy == "Fail"
	webhook.service != ""
}

ready(webhook) := service.ready if service := data.world.services[webhook.service]

ready(webhook) := 0 if not data.world.services[webhook.service]
