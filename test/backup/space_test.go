package backup_test

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/sim/scratch"
	"github.com/seatrial/seatrial/test/disktest"
)

// TestNoSpace: a snapshot is not proven where there is no room to restore it: that says nothing of the snapshot, and nothing is left there.
func TestNoSpace(t *testing.T) {
	g := NewWithT(t)
	path, _ := nightly(t)
	small := disktest.Small(t)
	t.Setenv("TMPDIR", small)
	_, err := backup.Verify(t.Context(), path, scratch.Etcd{Supervisor: supervise(t)})
	g.Expect(err).To(MatchError(And(ContainSubstring("restore snapshot"), ContainSubstring("no space left on device"))))
	g.Expect(err).NotTo(MatchError(backup.ErrUnfit))
	left, err := filepath.Glob(filepath.Join(small, "seatrial-restore-*"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(BeEmpty())
	g.Expect(os.ReadDir(small)).To(BeEmpty())
}
