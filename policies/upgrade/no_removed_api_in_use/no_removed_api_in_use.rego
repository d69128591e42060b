# METADATA
# title: No API that the new version removes is in use
# description: >-
#   A client that asks for an API version that is gone gets an error: a controller stops working, a chart can't be
#   installed or removed any more. Each API server says which deprecated APIs it was asked for since it started, and
#   which minor removes them. The objects that are named were written through such an API; who only read is not known.
# related_resources:
# - ref: https://kubernetes.io/docs/reference/using-api/deprecation-guide/
# - ref: https://kubernetes.io/docs/reference/using-api/deprecation-policy/
# - ref: https://github.com/helm/helm/issues/12803
# custom:
#   severity: error
#   scope: plan
#   needs: [upgrade, upgradeNode]
#   mayBeEmpty: true
#   remedy: >-
#     Have clients and manifests use the version that the deprecation guide names, apply them again, and restart the
#     API servers, which remember what they were asked for.
package seatrial.upgrade.no_removed_api_in_use

import data.seatrial.lib.upgrades
import data.seatrial.lib.version

subjects contains subject if some subject, _ in data.world.apis

deny contains {"subject": subject, "msg": msg} if {
	some subject, api in data.world.apis
	removed := to_number(split(api.removedRelease, ".")[1])
	some hop in upgrades.hops
	version.minor(hop.options.to) >= removed
	msg := sprintf("was requested, and %s, to which %s goes, does not serve it%s", [hop.options.to, hop.id, written(api)])
}

written(api) := "" if count(api.objects) == 0

written(api) := sprintf("; written through it: %s", [concat(", ", api.objects)]) if count(api.objects) > 0
