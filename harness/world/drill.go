package world

import (
	"maps"
	"slices"
	"time"
)

// Drill is what a restore came to, in the figures that people agree on.
type Drill struct {
	// Restore and Backup are the subjects of what is said of them: restore/STEP and backup/STEP.
	Restore string `json:"restore"`
	Backup  string `json:"backup"`
	// LostSeconds is the time whose changes are lost (RPO): from the backup until etcd had lost its quorum. OutageSeconds is the time from when it began to lose it until the API answered
	// again (RTO). Both are nil when it is not known when that was, or when the backup was taken.
	LostSeconds   *float64 `json:"lostSeconds,omitempty"`
	OutageSeconds *float64 `json:"outageSeconds,omitempty"`
	// Objects and Digest are how many the backup has and the hash of what is in them, Restored and RestoredDigest what was there after the restore.
	Objects        int    `json:"objects"`
	Restored       int    `json:"restored"`
	Digest         string `json:"digest"`
	RestoredDigest string `json:"restoredDigest"`
	// Revision is the one that the restored data begins at, LastRevision the last that a member said before it ended.
	Revision     int64         `json:"revision"`
	LastRevision int64         `json:"lastRevision"`
	Members      []DrillMember `json:"members"`
}

// DrillMember is a member of etcd after a restore.
type DrillMember struct {
	Node string `json:"node"`
	// ClusterID is what it says; Hash is that of its keys and values at the drill's revision, or "" when it has none.
	ClusterID string `json:"clusterId"`
	Hash      string `json:"hash"`
}

// quorumGone is when so many of the members had ended that the others are no quorum: with one or two the first, with three the second.
func quorumGone(ends []time.Time) time.Time {
	slices.SortFunc(ends, time.Time.Compare)
	return ends[(len(ends)-1)/2]
}

// Drills lists the restores, sorted.
func (w *World) Drills() []Drill {
	var list []Drill
	for _, subject := range slices.Sorted(maps.Keys(w.Restores)) {
		r := w.Restores[subject]
		d := Drill{
			Restore: subject, Backup: r.Backup, Objects: r.Backed, Restored: r.Restored, Digest: r.BackedDigest, RestoredDigest: r.Digest, Revision: r.Revision,
		}
		var began, until []time.Time
		for _, end := range w.EtcdEnds {
			began, until = append(began, end.Time), append(until, end.Until)
			d.LastRevision = max(d.LastRevision, end.Revision)
		}
		if len(began) > 0 {
			outage := r.Answered.Sub(quorumGone(began)).Seconds()
			d.OutageSeconds = &outage
			if taken := w.Backups[r.Backup]; taken != nil {
				lost := quorumGone(until).Sub(taken.Time).Seconds()
				d.LostSeconds = &lost
			}
		}
		for _, node := range slices.Sorted(maps.Keys(r.Hashes)) {
			d.Members = append(d.Members, DrillMember{Node: node, ClusterID: r.ClusterIDs[node], Hash: r.Hashes[node]})
		}
		list = append(list, d)
	}
	return list
}
