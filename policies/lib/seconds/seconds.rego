# Lengths of time as messages say them: "2.0 s".
package seatrial.lib.seconds

# %.1f takes no whole numbers.
text(s) := sprintf("%d.%d s", [floor(tenths / 10), tenths % 10]) if tenths := round(s * 10)
