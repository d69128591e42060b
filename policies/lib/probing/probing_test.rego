package seatrial.lib.probing_test

import data.seatrial.lib.probing

test_blind if {
	probing.blind({"intervalSeconds": 0.2, "patienceSeconds": 1}) == 1
	probing.blind({"intervalSeconds": 5, "patienceSeconds": 1}) == 5
	probing.blind({"intervalSeconds": 0.2}) == 0.2
}
