package world_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

// TestDrills: time is lost from the backup to the first end of a member, and the API was away from then on. What is not known is not made up.
func TestDrills(t *testing.T) {
	g := NewWithT(t)
	at := func(seconds int) time.Time { return time.Unix(1700000000+int64(seconds), 0) }
	w := world.New()
	g.Expect(w.Drills()).To(BeEmpty())
	w.Restores["restore/drill"] = &trace.RestoreData{
		Backup: "backup/nightly", Answered: at(100), Revision: 1400, Backed: 3, Restored: 2, Hashes: map[string]string{"cp-2": "", "cp-1": "aa"}, ClusterIDs: map[string]string{"cp-1": "c"},
	}
	g.Expect(w.Drills()).To(ConsistOf(And(HaveField("LostSeconds", BeNil()), HaveField("OutageSeconds", BeNil()))))

	w.EtcdEnds["etcd/cp-1"] = &trace.EtcdEndData{Time: at(70), Until: at(75), Revision: 500}
	w.EtcdEnds["etcd/cp-2"] = &trace.EtcdEndData{Time: at(60), Until: at(61), Revision: 400}
	w.EtcdEnds["etcd/cp-3"] = &trace.EtcdEndData{Time: at(20), Until: at(20)} // the others were a quorum
	w.Backups["backup/nightly"] = &trace.BackupData{Time: at(10)}
	lost, outage := 51.0, 40.0
	g.Expect(w.Drills()).To(Equal([]world.Drill{{
		Restore: "restore/drill", Backup: "backup/nightly", LostSeconds: &lost, OutageSeconds: &outage, Objects: 3, Restored: 2, Revision: 1400, LastRevision: 500,
		Members: []world.DrillMember{{Node: "cp-1", ClusterID: "c", Hash: "aa"}, {Node: "cp-2"}},
	}}))
}
