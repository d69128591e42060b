package scratch_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/scratch"
	"github.com/seatrial/seatrial/test/etcdtest"
)

func TestMain(m *testing.M) {
	proc.Dispatch(map[string]func([]string) int{scratch.Entry: scratch.Main, proc.ReaperEntry: proc.ReaperMain})
	os.Exit(m.Run())
}

// snapshot is one of an etcd with one key.
func snapshot(t *testing.T) string {
	t.Helper()
	g := NewWithT(t)
	client, stop, err := etcdtest.Start(t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	defer stop()
	_, err = client.Put(t.Context(), "/registry/key", "value")
	g.Expect(err).NotTo(HaveOccurred())
	stream, err := client.Snapshot(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	defer stream.Close()
	path := filepath.Join(t.TempDir(), "snapshot.db")
	file, err := os.Create(path)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = io.Copy(file, stream)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(file.Close()).To(Succeed())
	return path
}

// TestRestore: what was in a snapshot is in the etcd that is thrown away; then nothing is left, and neither is of a file that can't be restored.
func TestRestore(t *testing.T) {
	g := NewWithT(t)
	from := snapshot(t)
	t.Setenv("TMPDIR", t.TempDir())
	supervisor, err := proc.NewSupervisor(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(supervisor.Close(context.WithoutCancel(t.Context()))).To(Succeed()) }()
	etcd := scratch.Etcd{Supervisor: supervisor}
	left := func() []string {
		found, err := filepath.Glob(filepath.Join(os.TempDir(), "seatrial-restore-*"))
		g.Expect(err).NotTo(HaveOccurred())
		return found
	}

	look := func(client *clientv3.Client) error {
		got, err := client.Get(t.Context(), "/registry/key")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.Kvs).To(ConsistOf(HaveField("Value", []byte("value"))))
		return nil
	}
	database, end, err := etcd.Restore(t.Context(), from, look)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left()).To(HaveLen(1))
	free, err := bbolt.Open(database, 0, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	g.Expect(err).NotTo(HaveOccurred(), "the member has ended")
	g.Expect(free.Close()).To(Succeed())
	g.Expect(end()).To(Succeed())
	g.Expect(left()).To(BeEmpty())

	_, _, err = etcd.Restore(t.Context(), from, func(*clientv3.Client) error { return errors.New("it holds something else") })
	g.Expect(err).To(MatchError(ContainSubstring("it holds something else")))
	g.Expect(left()).To(BeEmpty())

	gone := filepath.Join(t.TempDir(), "gone.db")
	_, _, err = etcd.Restore(t.Context(), gone, look)
	g.Expect(err).To(MatchError(And(ContainSubstring("restore snapshot %q into an etcd that is thrown away", gone), ContainSubstring("open %s: no such file", gone))))
	g.Expect(left()).To(BeEmpty())

	endless := filepath.Join(t.TempDir(), "endless.db")
	g.Expect(unix.Mkfifo(endless, 0o600)).To(Succeed())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, _, err = etcd.Restore(ctx, endless, look)
	g.Expect(err).To(MatchError(ContainSubstring("wait until it serves")))
	g.Expect(left()).To(BeEmpty())
}
