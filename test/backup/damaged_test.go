package backup_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/sim/scratch"
	"github.com/seatrial/seatrial/test/etcdtest"
)

// TestDamaged: a snapshot that is cut off or has a bit flipped is restored while its hash is looked at, whatever comes of that: it is unfit, and nothing is left. That every place is found
// is harness/backup's test.
func TestDamaged(t *testing.T) {
	g := NewWithT(t)
	path, _ := nightly(t)
	whole, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	etcd := scratch.Etcd{Supervisor: supervise(t)}
	const places = 8
	for i := range places {
		at := i * len(whole) / places
		flipped := append([]byte{}, whole...)
		flipped[at] ^= 1
		for name, content := range map[string][]byte{"cut off": whole[:at], "flipped": flipped} {
			damaged := filepath.Join(t.TempDir(), "damaged.db")
			g.Expect(os.WriteFile(damaged, content, 0o600)).To(Succeed())
			_, err := backup.Verify(t.Context(), damaged, etcd)
			g.Expect(err).To(MatchError(backup.ErrUnfit), "%s at %d", name, at)
			g.Expect(filepath.Glob(filepath.Join(tmp, "seatrial-restore-*"))).To(BeEmpty(), "%s at %d", name, at)
		}
	}
}

// TestStoreParts: a snapshot that goes in parts is not there before the last of them is, and when one of them is never taken it is an error, and nothing is there.
func TestStoreParts(t *testing.T) {
	g := NewWithT(t)
	client, stop, err := etcdtest.Start(t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	defer stop()
	for i := range 36 {
		_, err := client.Put(t.Context(), fmt.Sprintf("/registry/configmaps/default/c-%d", i), strings.Repeat("x", 1<<20))
		g.Expect(err).NotTo(HaveOccurred())
	}
	path := filepath.Join(t.TempDir(), "nightly.db")
	_, err = backup.Take(t.Context(), backup.Member{Endpoint: client.Endpoints()[0], Client: client}, path, time.Now)
	g.Expect(err).NotTo(HaveOccurred())
	second := func(r *http.Request) bool {
		return r.Method == http.MethodPut && r.URL.Query().Get("partNumber") == "2"
	}

	before, asked := failing(2, second, half)
	s := startStore(t, before)
	store := clientOf(t, s, s.SecretKey)
	_, err = store.Put(t.Context(), path, address)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(asked.Load()).To(BeNumerically(">=", 3))
	got, err := store.Get(t.Context(), address, t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.ReadFile(got)).To(Equal(must(os.ReadFile(path))))

	before, _ = failing(always, second, status(http.StatusInternalServerError))
	s = startStore(t, before)
	store = clientOf(t, s, s.SecretKey)
	_, err = store.Put(t.Context(), path, address)
	g.Expect(err).To(MatchError(ContainSubstring("it answered 500")))
	_, err = store.Stat(t.Context(), address)
	g.Expect(err).To(MatchError(ContainSubstring("it has no manifest")))
}
