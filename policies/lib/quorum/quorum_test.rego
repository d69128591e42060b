package seatrial.lib.quorum_test

import data.seatrial.lib.quorum

test_gone if {
	quorum.gone([7]) == 7
	quorum.gone([8, 7]) == 7
	quorum.gone([9, 7, 8]) == 8
	quorum.gone([9, 7, 8, 5, 6]) == 7
}
