# METADATA
# scope: package
# title: Nobody cordons a node
# description: A house rule for the tests, which every drain breaks.
# custom:
#   severity: error
#   scope: moment
#   remedy: None.
#   on: [nodes]
#   mayBeEmpty: true
package seatrial.house.no_cordon

subjects contains node.name if {
	some name in input.touched.nodes
	node := data.world.nodes[name]
}

deny contains {"subject": name, "msg": "is cordoned"} if {
	some name in subjects
	data.world.nodes[name].cordoned
}
