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
	// LostSeconds is the time whose changes are lost (RPO): from the backup to the first end of a member of etcd. OutageSeconds is the time from that end until the API answered
	// again (RTO). Both are nil when it is not known when the first member ended, or when the backup was taken.
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

// Drills lists the restores, sorted.
func (w *World) Drills() []Drill {
	var list []Drill
	for _, subject := range slices.Sorted(maps.Keys(w.Restores)) {
		r := w.Restores[subject]
		d := Drill{
			Restore: subject, Backup: r.Backup, Objects: r.Backed, Restored: r.Restored, Digest: r.BackedDigest, RestoredDigest: r.Digest, Revision: r.Revision,
		}
		var ended time.Time
		for _, end := range w.EtcdEnds {
			if ended.IsZero() || end.Time.Before(ended) {
				ended = end.Time
			}
			d.LastRevision = max(d.LastRevision, end.Revision)
		}
		if !ended.IsZero() {
			outage := r.Answered.Sub(ended).Seconds()
			d.OutageSeconds = &outage
		}
		if taken := w.Backups[r.Backup]; taken != nil && !ended.IsZero() {
			lost := ended.Sub(taken.Time).Seconds()
			d.LostSeconds = &lost
		}
		for _, node := range slices.Sorted(maps.Keys(r.Hashes)) {
			d.Members = append(d.Members, DrillMember{Node: node, ClusterID: r.ClusterIDs[node], Hash: r.Hashes[node]})
		}
		list = append(list, d)
	}
	return list
}
