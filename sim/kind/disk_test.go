package kind

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/proc"
)

// TestTheReaperRemovesDisks makes the disks of a cluster, as for nodes, in a folder with a space in its name; what the reaper runs leaves neither a mount nor a file.
func TestTheReaperRemovesDisks(t *testing.T) {
	if _, err := os.Stat("/dev/loop-control"); err != nil || os.Geteuid() != 0 {
		t.Skip("SKIP: mounting a file takes root and loop devices")
	}
	g := NewWithT(t)
	f := newFakeEngine(t, "")
	client, err := f.provider.open(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	self, err := proc.Self()
	g.Expect(err).NotTo(HaveOccurred())
	spec := cluster.Spec{Name: "a", ControlPlanes: 1, Workers: 1, Disks: true}
	c := newCluster(f.provider.options, client, spec, Image{})
	c.claimed = &claim{
		path: filepath.Join(f.claims, "with space", "a.json"), Name: "a", Engine: client.Engine, Environment: client.Environment(), Owner: self,
	}
	t.Cleanup(func() { // what a removal that fails leaves
		left, _ := c.claimed.mounts()
		for _, place := range left {
			_ = unmount(place)
		}
	})
	g.Expect(c.claimed.write(os.Link)).To(Succeed())

	config, err := configuration(spec, Image{}, false)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.makeDisks(t.Context(), config)).To(Succeed())
	g.Expect(c.claimed.mounts()).To(ConsistOf(c.claimed.disk(c.machines[0]), c.claimed.disk(c.machines[1])))
	g.Expect(config.Nodes).To(HaveEach(HaveField("ExtraMounts", HaveLen(len(onDisk)))))
	g.Expect(c.free(c.machines[0])).To(BeNumerically("~", diskSize, diskSize/10))

	g.Expect(RemoveMain([]string{c.claimed.path, self.String()})).To(BeZero())
	g.Expect(c.claimed.mounts()).To(BeEmpty())
	g.Expect(c.claimed.disks()).NotTo(BeADirectory())
}
