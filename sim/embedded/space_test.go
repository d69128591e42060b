package embedded

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"go.uber.org/zap"

	clientv3 "go.etcd.io/etcd/client/v3"
	etcdclient "go.etcd.io/etcd/client/v3/snapshot"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/test/disktest"
	"github.com/seatrial/seatrial/test/etcdtest"
)

// TestRestoreNoSpace: a member whose disk has no room for what is restored has what it had, and nothing is left of the attempt.
func TestRestoreNoSpace(t *testing.T) {
	g := NewWithT(t)
	small := disktest.Small(t)
	client, stop, err := etcdtest.Start(t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	defer stop()
	_, err = client.Put(t.Context(), "large", string(make([]byte, 1<<20)))
	g.Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(t.TempDir(), "snapshot.db")
	_, err = etcdclient.SaveWithVersion(t.Context(), zap.NewNop(), clientv3.Config{Endpoints: client.Endpoints()}, file)
	g.Expect(err).NotTo(HaveOccurred())

	p := &controlPlane{node: "cp-1", dir: small, ports: &ports{}}
	db := databaseIn(p.etcdDir())
	g.Expect(os.MkdirAll(filepath.Dir(db), 0o700)).To(Succeed())
	g.Expect(os.WriteFile(db, []byte("what it had"), 0o600)).To(Succeed())
	err = p.restore(file, cluster.EtcdRestore{Token: "drill"}, []string{"cp-1=" + p.peerURL()})
	g.Expect(err).To(MatchError(ContainSubstring("no space left on device")))
	g.Expect(os.ReadFile(db)).To(Equal([]byte("what it had")))
	g.Expect(os.ReadDir(small)).To(HaveLen(1), "its etcd folder alone")
}
