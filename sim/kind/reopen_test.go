package kind

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/proc"
)

// TestReclaim: a cluster is taken over from a process that is gone, not from one that runs, and not when it was removed.
func TestReclaim(t *testing.T) {
	g := NewWithT(t)
	f := newFakeEngine(t, "")
	c := &Cluster{options: f.provider.options, spec: cluster.Spec{Name: "a"}}
	g.Expect(c.reclaim()).To(MatchError(cluster.ErrGone))

	self, err := proc.Self()
	g.Expect(err).NotTo(HaveOccurred())
	l := &claim{path: filepath.Join(f.claims, "a.json"), Name: "a", Owner: self, Kept: true}
	g.Expect(l.write(os.Link)).To(Succeed())
	g.Expect(c.reclaim()).To(MatchError("its run is under way"))

	l.Owner.Started++ // another process, that had the number before
	g.Expect(l.write(os.Rename)).To(Succeed())
	g.Expect(c.reclaim()).To(Succeed())
	taken, err := readClaim(l.path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(taken.Owner).To(Equal(self))
	g.Expect(taken.Kept).To(BeTrue(), "it outlives us too")
}

func TestStateIsRecalled(t *testing.T) {
	g := NewWithT(t)
	s := cluster.Spec{StateDir: t.TempDir(), Resumable: true}
	saved := newCluster(Options{}, nil, s, Image{})
	saved.addresses["cp-1"], saved.restarted = "10.0.0.2", map[instance]int32{{"cp-1", "etcd"}: 1}
	saved.setOff("worker-1", true)
	g.Expect(saved.save()).To(Succeed())
	recalled := newCluster(Options{}, nil, s, Image{})
	g.Expect(recalled.recall()).To(Succeed())
	g.Expect(recalled.addresses).To(Equal(saved.addresses))
	g.Expect(recalled.restarted).To(Equal(saved.restarted))
	g.Expect(recalled.disturbed).To(Equal(saved.disturbed))
	g.Expect(recalled.off).To(BeEmpty(), "every node is given power")
}

// TestRestore: a node without power gets it, at its address, and its network; what is paused goes on; kubeadm that another process began is waited for.
func TestRestore(t *testing.T) {
	g := NewWithT(t)
	f := newFakeEngine(t, `"ps --all") echo a-worker;;
"inspect --format") case "$*" in *State*) if test -e $0.on; then echo true; else echo false; fi;; *) echo 10.0.0.3;; esac;;
"start a-worker") touch $0.on;;
"exec a-worker") shift 2; case "$*" in
	"ps -eo pid=,state=") echo "7 S"; echo "8 T"; echo "9 T";;
	"ps -eo pid=,args=") test -e $0.asked || echo "11 kubeadm upgrade node"; touch $0.asked;;
	esac;;`)
	made, err := f.provider.options.Engine(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	m := machine{node: "worker-1", container: "a-worker", role: cluster.Worker}
	c := newCluster(f.provider.options, made, cluster.Spec{Name: "a"}, Image{})
	c.machines, c.claimed, c.addresses = []machine{m}, &claim{Name: "a"}, map[string]string{"worker-1": "10.0.0.3"}
	g.Expect(c.restore(t.Context(), m)).To(Succeed())
	g.Expect(f.told()).To(And(
		ContainSubstring("network connect --ip 10.0.0.3 a a-worker\nstart a-worker\n"),
		ContainSubstring("exec --interactive a-worker nft --file -\n"),
		ContainSubstring("exec a-worker kill -CONT 8 9\n"),
		MatchRegexp(`(?s)args=.*args=`)))
}
