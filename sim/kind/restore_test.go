package kind

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/cluster"
)

// TestRestoreCommand: each member is restored with its own name and peer, and all with the same members and token. The options that are not wanted are left out.
func TestRestoreCommand(t *testing.T) {
	g := NewWithT(t)
	c := &Cluster{
		spec:      cluster.Spec{ControlPlanes: 2},
		machines:  []machine{{node: "cp-1", role: cluster.ControlPlane}, {node: "cp-2", role: cluster.ControlPlane}, {node: "worker-1", role: cluster.Worker}},
		addresses: map[string]string{"cp-1": "10.89.0.2", "cp-2": "10.89.0.3", "worker-1": "10.89.0.4"},
	}
	plain := []string{
		"etcdutl", "snapshot", "restore", snapshotFile, "--data-dir=" + restoredFolder, "--name=cp-2",
		"--initial-cluster=cp-1=https://10.89.0.2:2380,cp-2=https://10.89.0.3:2380", "--initial-advertise-peer-urls=https://10.89.0.3:2380", "--initial-cluster-token=drill-1",
	}
	g.Expect(c.restoreCommand("cp-2", cluster.EtcdRestore{Token: "drill-1"})).To(Equal(plain))
	g.Expect(c.restoreCommand("cp-2", cluster.EtcdRestore{Token: "drill-1", BumpRevision: 1000, MarkCompacted: true})).To(Equal(append(plain, "--bump-revision=1000", "--mark-compacted")))
}
