# When etcd lost its quorum.
package seatrial.lib.quorum

# gone is, of the times at which members ended, the one from which on the others are no quorum: of one or two the first, of three the second.
gone(times) := sort(times)[floor((count(times) - 1) / 2)]
