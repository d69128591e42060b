package kind

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

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

// TestKeepData: what a member has is kept under a name that says for which restore, also when that was killed and is done again, and where nothing was there nothing is kept.
func TestKeepData(t *testing.T) {
	g := NewWithT(t)
	root := t.TempDir() // of the node
	f := newFakeEngine(t, fmt.Sprintf(`"exec node") shift 2; sh -c "$(echo "$*" | sed "s|/var/lib|%[1]s|g")" | sed "s|%[1]s|/var/lib|g";;`, root))
	client, err := f.provider.options.Engine(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	node := machine{node: "cp-1", container: "node", role: cluster.ControlPlane}
	c := &Cluster{engine: client, machines: []machine{node}}
	database := filepath.Join(root, "etcd", "member", "snap", "db")
	has := func(content string) {
		g.Expect(os.MkdirAll(filepath.Dir(database), 0o700)).To(Succeed())
		g.Expect(os.WriteFile(database, []byte(content), 0o600)).To(Succeed())
	}
	kept := func(token string) int64 {
		folder, size, err := c.KeptData(t.Context(), "cp-1", token)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(folder).To(Equal("/var/lib/etcd/member-before-" + token))
		return size
	}
	g.Expect(os.MkdirAll(filepath.Join(root, "etcd"), 0o700)).To(Succeed())
	g.Expect(c.keepData(t.Context(), node, "drill")).To(Succeed())
	g.Expect(kept("drill")).To(BeZero(), "there was nothing")

	has("what it had")
	g.Expect(c.keepData(t.Context(), node, "drill")).To(Succeed())
	g.Expect(kept("drill")).To(BeEquivalentTo(len("what it had")))
	g.Expect(database).NotTo(BeAnExistingFile())

	has("what was restored by an attempt that was killed")
	g.Expect(c.keepData(t.Context(), node, "drill")).To(Succeed())
	g.Expect(kept("drill")).To(BeEquivalentTo(len("what it had")))
	g.Expect(database).NotTo(BeAnExistingFile())

	has("what it had a day later")
	g.Expect(c.keepData(t.Context(), node, "again")).To(Succeed())
	g.Expect(kept("again")).To(BeEquivalentTo(len("what it had a day later")))
	g.Expect(kept("drill")).To(BeEquivalentTo(len("what it had")))
}

// TestStarted: a component was started so long before the node's time, give or take the second of ps and what the node took to answer, however long the engine takes.
func TestStarted(t *testing.T) {
	g := NewWithT(t)
	_, c := fakeNode(t, "v1.34.4", `"sh -c "*) echo 1796000000500000000; echo "  120 kube-controller-manager --x"; echo "   60 /usr/bin/kubelet"; echo 1796000000900000000;;`)
	since, within, err := c.Started(t.Context(), "cp-1")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(within).To(Equal(1400 * time.Millisecond))
	g.Expect(since).To(Equal(map[string]time.Time{"kube-controller-manager": time.Unix(1796000000-121, 500000000)}))

	_, c = fakeNode(t, "v1.34.4", `"sh -c "*) echo 1796000000500000000; echo "date: not found";;`)
	_, _, err = c.Started(t.Context(), "cp-1")
	g.Expect(err).To(MatchError(ContainSubstring(`ask "cp-1" what time it is`)))
}
