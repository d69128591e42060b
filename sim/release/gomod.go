package release

import (
	"fmt"
	"strings"

	"golang.org/x/mod/modfile"
)

// module is the module that Kubernetes is released as.
const module = "k8s.io/kubernetes"

// scratchModule makes, from the go.mod of a release, that of a module in which the release can be built.
//
// In its own repository Kubernetes requires its staging modules (k8s.io/api, …) as v0.0.0 and replaces each by a folder below
// ./staging. Those folders are not in the module, but the staging modules are published with each release: v0.34.4 goes with
// v1.34.4. Everything else stays, so that the binaries have the dependencies that the release was tested with.
func scratchModule(gomod []byte, version string) ([]byte, error) {
	f, err := modfile.Parse("go.mod", gomod, nil)
	if err != nil {
		return nil, fmt.Errorf("read the go.mod of %s %s: %w", module, version, err)
	}
	if err := f.AddModuleStmt("scratch"); err != nil {
		return nil, err
	}
	staging := "v0." + strings.TrimPrefix(version, "v1.")
	for _, r := range f.Require {
		if strings.HasPrefix(r.Mod.Path, "k8s.io/") && r.Mod.Version == "v0.0.0" {
			if err := f.AddRequire(r.Mod.Path, staging); err != nil {
				return nil, err
			}
		}
	}
	for _, r := range f.Replace {
		if strings.HasPrefix(r.New.Path, "./staging/") {
			if err := f.DropReplace(r.Old.Path, r.Old.Version); err != nil {
				return nil, err
			}
		}
	}
	if err := f.AddRequire(module, version); err != nil {
		return nil, err
	}
	f.Cleanup()
	return f.Format()
}

// linkFlags strip the binaries and stamp them, as the release's own build does. Without the stamp
// kubeadm refuses to work. The commit is not in the module; the date is fixed, so that two builds are equal.
func linkFlags(version string) string {
	minor := strings.Split(version, ".")[1]
	stamps := [][2]string{
		{"gitVersion", version},
		{"gitMajor", "1"},
		{"gitMinor", minor},
		{"gitCommit", "unknown"},
		{"gitTreeState", "clean"},
		{"buildDate", "1970-01-01T00:00:00Z"},
	}
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, stamp := range stamps {
			flags = append(flags, fmt.Sprintf("-X %s.%s=%s", pkg, stamp[0], stamp[1]))
		}
	}
	return strings.Join(flags, " ")
}
