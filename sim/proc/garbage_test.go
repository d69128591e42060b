package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

// TestCollectGarbage removes what a dead process left, and nothing else.
func TestCollectGarbage(t *testing.T) {
	g := NewWithT(t)
	parent := t.TempDir()
	folder := func(name, owner string) string {
		dir := filepath.Join(parent, name)
		g.Expect(os.Mkdir(dir, 0o700)).To(Succeed())
		if owner != "" {
			g.Expect(os.WriteFile(filepath.Join(dir, ownerFile), []byte(owner), 0o600)).To(Succeed())
		}
		return dir
	}
	me, err := readStat(os.Getpid())
	g.Expect(err).NotTo(HaveOccurred())
	dead := folder("dead", "4194300 1")
	reused := folder("pid-used-again", fmt.Sprintf("%d %d", os.Getpid(), me.started-1))
	mine := folder("mine", fmt.Sprintf("%d %d", os.Getpid(), me.started))
	others := folder("somebody-else", "")
	odd := folder("odd", "what?")

	removed, err := CollectGarbage(parent)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(removed).To(ConsistOf(dead, reused))
	g.Expect(mine).To(BeADirectory())
	g.Expect(others).To(BeADirectory())
	g.Expect(odd).To(BeADirectory())
}
