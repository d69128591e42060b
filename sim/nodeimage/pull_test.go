package nodeimage

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
)

// testRegistry is a registry on loopback that has node images of these versions, and their digests.
func testRegistry(t *testing.T, versions ...string) (repository string, digests map[string]string) {
	t.Helper()
	g := NewWithT(t)
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	repository = strings.TrimPrefix(server.URL, "http://") + "/kindest/node"
	repo, err := name.NewRepository(repository)
	g.Expect(err).NotTo(HaveOccurred())
	digests = map[string]string{}
	for _, version := range versions {
		image, err := random.Image(64, 1)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(remote.Write(repo.Tag(version), image)).To(Succeed())
		digest, err := image.Digest()
		g.Expect(err).NotTo(HaveOccurred())
		digests[version] = digest.String()
	}
	g.Expect(remote.Write(repo.Tag("latest"), empty.Image)).To(Succeed())
	return repository, digests
}

func TestResolveNamesTheImageByItsDigest(t *testing.T) {
	repository, digests := testRegistry(t, "v1.34.9", "v1.34.10", "v1.35.0", "v1.34.11-rc.0")
	for asked, want := range map[string]string{"v1.34.9": "v1.34.9", "v1.34": "v1.34.10", "v1.35": "v1.35.0"} {
		g := NewWithT(t)
		image, err := resolve(t.Context(), repository, asked)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(image.Version).To(Equal(want))
		g.Expect(image.Ref).To(Equal(repository + "@" + digests[want]))
	}
	_, err := resolve(t.Context(), repository, "v1.33")
	NewWithT(t).Expect(err).To(MatchError("it has no v1.33"))
	_, err = resolve(t.Context(), repository, "v1.33.1")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("404")))
}

func TestResolveWithoutARegistry(t *testing.T) {
	_, err := resolve(t.Context(), "127.0.0.1:1/kindest/node", "v1.34.4")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("connection refused")))
	_, err = resolve(t.Context(), "UPPER/..", "v1.34.4")
	NewWithT(t).Expect(err).To(HaveOccurred())
}

func TestOf(t *testing.T) {
	g := NewWithT(t)
	g.Expect(of("v1.34.4", "v1.34")).To(BeTrue())
	g.Expect(of("v1.34.4", "v1.34.4")).To(BeTrue())
	g.Expect(of("v1.34.4", "v1.3")).To(BeFalse())
	g.Expect(of("v1.34.4", "v1.34.40")).To(BeFalse())
	g.Expect(of("<none>", "v1.34")).To(BeFalse())
}

func TestOnLoopback(t *testing.T) {
	g := NewWithT(t)
	for ref, want := range map[string]bool{
		"127.0.0.1:5000/kindest/node@sha256:1": true, "localhost/a": true, "localhost:1/a": true,
		"docker.io/kindest/node": false, "10.0.0.1:5000/a": false, "127.0.0.1.example.com/a": false,
	} {
		g.Expect(onLoopback(ref)).To(Equal(want), ref)
	}
}
