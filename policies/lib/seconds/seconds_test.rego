package seatrial.lib.seconds_test

import data.seatrial.lib.seconds

test_text if {
	seconds.text(2) == "2.0 s"
	seconds.text(2.24) == "2.2 s"
	seconds.text(59.96) == "60.0 s"
}
