package engine

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestRoom(t *testing.T) {
	g := NewWithT(t)
	g.Expect(room(128, 60, 1, 3)).To(Succeed())
	g.Expect(room(128, 65, 1, 3)).To(MatchError(And(
		ContainSubstring("take about 65"), ContainSubstring("allows a user 128"), ContainSubstring("65 are in use"), ContainSubstring("sysctl fs.inotify.max_user_instances=512"))))
}

func TestInotifyInUse(t *testing.T) {
	g := NewWithT(t)
	proc := t.TempDir()
	for file, target := range map[string]string{"1/fd/3": "anon_inode:inotify", "1/fd/4": "/dev/null", "20/fd/0": "anon_inode:inotify", "self/fd/3": "anon_inode:inotify"} {
		path := filepath.Join(proc, file)
		g.Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
		g.Expect(os.Symlink(target, path)).To(Succeed())
	}
	used, err := inotifyInUse(proc)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(used).To(Equal(uint64(2)))
}
