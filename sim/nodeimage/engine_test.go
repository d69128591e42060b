package nodeimage

import (
	"context"
	"io"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/progress"
)

// TestEnginePull has the machine's engine pull an image of a node out of a registry on loopback, by its digest; `make kind` runs it. A second time it has it.
func TestEnginePull(t *testing.T) {
	if os.Getenv("SEATRIAL_TEST_NODE_IMAGE") == "" {
		t.Skip("SKIP: SEATRIAL_TEST_NODE_IMAGE names no node image: make kind sets it where there is an engine")
	}
	g := NewWithT(t)
	server := httptest.NewServer(registry.New())
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/kindest/node"
	repo, err := name.NewRepository(repository)
	g.Expect(err).NotTo(HaveOccurred())
	image, err := random.Image(1<<10, 2)
	g.Expect(err).NotTo(HaveOccurred())
	config, err := image.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, RootFS: config.RootFS})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(remote.Write(repo.Tag("v1.34.99"), image)).To(Succeed())
	digest, err := image.Digest()
	g.Expect(err).NotTo(HaveOccurred())

	supervisor, err := proc.NewSupervisor(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(supervisor.Close(context.Background())).To(Succeed()) })
	client, err := engine.Open(t.Context(), supervisor, "")
	g.Expect(err).NotTo(HaveOccurred())
	b, err := NewBuilder(Options{Engine: client, Supervisor: supervisor, Progress: progress.New(io.Discard), Registry: repository, Dir: t.TempDir()})
	g.Expect(err).NotTo(HaveOccurred())

	got, err := b.pull(t.Context(), "v1.34.99")
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() {
		g.Expect(client.Do(context.Background(), engine.Command{Args: []string{"image", "rm", got.Ref}})).To(Succeed())
	})
	g.Expect(got).To(Equal(Image{Ref: repository + "@" + digest.String(), Version: "v1.34.99"}))
	g.Expect(client.HasImage(t.Context(), got.Ref)).To(BeTrue())
	again, err := b.pull(t.Context(), "v1.34.99")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(got))
}
