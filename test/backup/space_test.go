package backup_test

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/sim/scratch"
)

// TestNoSpace: a snapshot is not proven where there is no room to restore it: that says nothing of the snapshot, and nothing is left there.
func TestNoSpace(t *testing.T) {
	g := NewWithT(t)
	path, _ := nightly(t)
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("SKIP: no file system of a size of its own can be mounted here: %v", err)
	}
	t.Cleanup(func() { g.Expect(unix.Unmount(small, 0)).To(Succeed()) })
	t.Setenv("TMPDIR", small)
	_, err := backup.Verify(t.Context(), path, scratch.Etcd{Supervisor: supervise(t)})
	g.Expect(err).To(MatchError(And(ContainSubstring("restore snapshot"), ContainSubstring("no space left on device"))))
	g.Expect(err).NotTo(MatchError(backup.ErrUnfit))
	left, err := filepath.Glob(filepath.Join(small, "seatrial-restore-*"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(BeEmpty())
	g.Expect(os.ReadDir(small)).To(BeEmpty())
}
