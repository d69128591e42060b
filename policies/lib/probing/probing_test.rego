package seatrial.lib.probing_test

import data.seatrial.lib.probing

test_blind if {
	probing.blind({"intervalSeconds": 0.2, "patienceSeconds": 1}) == 1
	probing.blind({"intervalSeconds": 5, "patienceSeconds": 1}) == 5
	probing.blind({"intervalSeconds": 0.2}) == 0.2
}

test_given if {
	probing.given({"patienceSeconds": 1}) == " and given 1 s to answer"
	probing.given({"patienceSeconds": 0}) == ""
}
