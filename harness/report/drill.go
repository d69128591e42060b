package report

import (
	"cmp"
	"fmt"
	"time"

	"github.com/seatrial/seatrial/harness/world"
)

// figure is a line about a restore: what it is, before and after. Either side may be "".
type figure struct{ what, before, after string }

// figures are what people ask about a restore drill. https://etcd.io/docs/v3.6/op-guide/recovery/
func figures(d world.Drill) []figure {
	list := []figure{
		{"time whose changes are lost (RPO)", "", seconds(d.LostSeconds)},
		{"time until the API answered (RTO)", "", seconds(d.OutageSeconds)},
		{"objects", fmt.Sprint(d.Objects), fmt.Sprint(d.Restored)},
		{"digest of what is in them", d.Digest, d.RestoredDigest},
		{"revision", fmt.Sprint(d.LastRevision), fmt.Sprint(d.Revision)},
	}
	for _, m := range d.Members {
		list = append(list, figure{"hash of etcd/" + m.Node, "", cmp.Or(m.Hash, "none") + " in cluster " + cmp.Or(m.ClusterID, "unknown")})
	}
	return list
}

func seconds(s *float64) string {
	if s == nil {
		return "not known"
	}
	return span(time.Duration(*s * float64(time.Second)))
}

// drill says the same on a line.
func drill(d world.Drill) string {
	same := "the digests differ"
	if d.Digest != "" && d.Digest == d.RestoredDigest {
		same = "the same digest"
	}
	hashes := map[string]bool{}
	for _, m := range d.Members {
		hashes[m.Hash] = true
	}
	agree := "of one hash"
	if len(hashes) != 1 || hashes[""] {
		agree = "that differ"
	}
	return fmt.Sprintf("RPO %s, RTO %s; %s of %s, %s; %s %s",
		seconds(d.LostSeconds), seconds(d.OutageSeconds), count(d.Restored, "object", "objects"), fmt.Sprint(d.Objects), same, count(len(d.Members), "member", "members"), agree)
}
