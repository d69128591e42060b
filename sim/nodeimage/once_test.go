package nodeimage

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/progress"
)

func TestMain(m *testing.M) {
	proc.Dispatch(map[string]func([]string) int{proc.ReaperEntry: proc.ReaperMain})
	os.Exit(m.Run())
}

// builderWith is a builder whose engine has one image, with this recipe; "" means none.
func builderWith(t *testing.T, recipe string, free uint64) *Builder {
	t.Helper()
	g := NewWithT(t)
	dir := t.TempDir()
	script := "#!/bin/sh\nexit 0\n"
	if recipe != "" {
		script = "#!/bin/sh\ncase \"$1 $2\" in\n'image ls') echo sha256:1;;\n'image inspect') echo " + recipe + ";;\nesac\n"
	}
	path := filepath.Join(dir, "podman")
	g.Expect(os.WriteFile(path, []byte(script), 0o755)).To(Succeed())
	supervisor, err := proc.NewSupervisor(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(supervisor.Close(context.Background())).To(Succeed()) })
	b, err := NewBuilder(Options{
		Engine: engine.Reopen(supervisor, engine.Engine{Name: engine.Podman, Path: path}, nil), Supervisor: supervisor,
		Progress: progress.New(io.Discard), Dir: dir,
	})
	g.Expect(err).NotTo(HaveOccurred())
	b.look = func(context.Context, string) engine.Facts {
		return engine.Facts{Storage: "/var/lib/images", StorageFree: free}
	}
	return b
}

func TestAnImageIsMadeOnceOfOneRecipe(t *testing.T) {
	made := errors.New("made")
	for name, c := range map[string]struct {
		has  string
		free uint64
		want string
	}{
		"there is none":        {"", neededSpace, "made"},
		"it is of this recipe": {"recipe-1", 0, ""},
		"it is of another":     {"recipe-0", neededSpace, "made"},
		"there is no room":     {"", 1 << 30, "not enough space for an image at /var/lib/images: 1.0 GiB are free, 6 GiB are needed"},
	} {
		t.Run(name, func(t *testing.T) {
			err := builderWith(t, c.has, c.free).once(t.Context(), "seatrial.dev/node:v1.34.4", "recipe-1", func() error { return made })
			if c.want == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
			} else {
				NewWithT(t).Expect(err).To(MatchError(c.want))
			}
		})
	}
}
