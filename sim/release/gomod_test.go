package release

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestScratchModule(t *testing.T) {
	in, err := os.ReadFile("testdata/v1.34.4.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"v1.34.4", "v1.35.0-rc.1"} {
		t.Run(version, func(t *testing.T) {
			got, err := scratchModule(in, version)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", version+".scratch.mod")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestScratchModuleRefusesWhatItCannotRead(t *testing.T) {
	if got, err := scratchModule([]byte("module k8s.io/kubernetes\nrequire k8s.io/api\n"), "v1.34.4"); err == nil {
		t.Errorf("no error, but %q", got)
	}
}

func TestLinkFlags(t *testing.T) {
	const want = "-s -w" +
		" -X k8s.io/component-base/version.gitVersion=v1.34.4" +
		" -X k8s.io/component-base/version.gitMajor=1" +
		" -X k8s.io/component-base/version.gitMinor=34" +
		" -X k8s.io/component-base/version.gitCommit=unknown" +
		" -X k8s.io/component-base/version.gitTreeState=clean" +
		" -X k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z" +
		" -X k8s.io/client-go/pkg/version.gitVersion=v1.34.4" +
		" -X k8s.io/client-go/pkg/version.gitMajor=1" +
		" -X k8s.io/client-go/pkg/version.gitMinor=34" +
		" -X k8s.io/client-go/pkg/version.gitCommit=unknown" +
		" -X k8s.io/client-go/pkg/version.gitTreeState=clean" +
		" -X k8s.io/client-go/pkg/version.buildDate=1970-01-01T00:00:00Z"
	if diff := cmp.Diff(want, linkFlags("v1.34.4")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
