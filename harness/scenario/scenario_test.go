package scenario

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestInvalid loads every archive in testdata/invalid and compares the errors with its file "errors".
func TestInvalid(t *testing.T) {
	archives, err := filepath.Glob("testdata/invalid/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".txtar"), func(t *testing.T) {
			g := NewWithT(t)
			content, err := txtar.ParseFile(archive)
			g.Expect(err).NotTo(HaveOccurred())
			dir := t.TempDir()
			want := ""
			errorsAt := -1
			for i, f := range content.Files {
				if f.Name == "errors" {
					want, errorsAt = string(f.Data), i
					continue
				}
				g.Expect(os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644)).To(Succeed())
			}
			_, err = Load(filepath.Join(dir, "scenario.yaml"))
			g.Expect(err).To(HaveOccurred())
			got := strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "") + "\n"
			if *update {
				if errorsAt < 0 {
					content.Files = append(content.Files, txtar.File{Name: "errors"})
					errorsAt = len(content.Files) - 1
				}
				content.Files[errorsAt].Data = []byte(got)
				g.Expect(os.WriteFile(archive, txtar.Format(content), 0o644)).To(Succeed())
				return
			}
			g.Expect(got).To(Equal(want))
			var all Errors
			g.Expect(errors.As(err, &all)).To(BeTrue())
			for _, one := range all {
				g.Expect(one.Line).To(BeNumerically(">", 0), "every error has a place: %v", one)
				g.Expect(one.Column).To(BeNumerically(">", 0), "every error has a place: %v", one)
			}
		})
	}
}

const minimal = `apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: small}
spec:
  steps:
  - id: pause
    wait: {duration: 1s}
`

func load(t *testing.T, files map[string]string) (*File, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Load(dir)
}

func TestDefaults(t *testing.T) {
	g := NewWithT(t)
	f, err := load(t, map[string]string{"scenario.yaml": minimal})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.Spec.Cluster).To(Equal(Cluster{KubernetesVersion: "v1.34", ControlPlanes: 1, Workers: 2}))
	g.Expect(f.Spec.Expect.Verdict).To(Equal(Passed))
	g.Expect(f.Nodes()).To(HaveLen(3))
	kind, spec := f.Spec.Steps[0].Kind()
	g.Expect(kind).To(Equal("wait"))
	g.Expect(spec.(*Wait).Duration.Duration).To(Equal(time.Second))
}

// TestZeroWorkersAreMeant tells an explicit 0 from a number that was left out.
func TestZeroWorkersAreMeant(t *testing.T) {
	g := NewWithT(t)
	f, err := load(t, map[string]string{"scenario.yaml": strings.Replace(minimal, "spec:\n", "spec:\n  cluster: {workers: 0}\n", 1)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.Nodes()).To(HaveLen(1))
}

// TestTooLarge reads no more of a 10 MB scenario than it takes to know that it is too large.
func TestTooLarge(t *testing.T) {
	g := NewWithT(t)
	_, err := load(t, map[string]string{"scenario.yaml": minimal + strings.Repeat("# filler\n", 10<<20/9)})
	g.Expect(err).To(MatchError(ContainSubstring("scenario.yaml:1:1: file is larger than 1024 KiB")))
}

// TestSymlinkOutOfTheFolder must not follow a link to a file that the scenario's author can't name.
func TestSymlinkOutOfTheFolder(t *testing.T) {
	g := NewWithT(t)
	secret := filepath.Join(t.TempDir(), "secret.yaml")
	g.Expect(os.WriteFile(secret, []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"), 0o600)).To(Succeed())
	dir := t.TempDir()
	g.Expect(os.Symlink(secret, filepath.Join(dir, "web.yaml"))).To(Succeed())
	source := strings.Replace(minimal, "  steps:\n", "  objects: [{file: web.yaml}]\n  steps:\n", 1)
	g.Expect(os.WriteFile(filepath.Join(dir, "scenario.yaml"), []byte(source), 0o644)).To(Succeed())
	_, err := Load(dir)
	g.Expect(err).To(MatchError(ContainSubstring(`scenario.yaml:5:20: spec.objects[0].file: file "web.yaml" can't be read from the scenario's folder`)))
}

// TestReferenceIsUpToDate keeps docs/scenario-reference.md what `seatrial schema --format markdown` prints.
func TestReferenceIsUpToDate(t *testing.T) {
	g := NewWithT(t)
	const path = "../../docs/scenario-reference.md"
	if *update {
		g.Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
		g.Expect(os.WriteFile(path, Reference(), 0o644)).To(Succeed())
	}
	have, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(have)).To(Equal(string(Reference())), "run: go test ./harness/scenario -update")
}

// TestSchemaKnowsEveryField decodes the schema's own field names: schema and decoder come from the same types.
func TestSchemaKnowsEveryKind(t *testing.T) {
	g := NewWithT(t)
	schema, err := Schema()
	g.Expect(err).NotTo(HaveOccurred())
	for _, kind := range Kinds() {
		g.Expect(string(schema)).To(ContainSubstring(fmt.Sprintf("%q: {", kind)))
	}
}

// FuzzLoad must never panic, and must give every error a place.
func FuzzLoad(f *testing.F) {
	f.Add(minimal)
	f.Add("a: &a [*a]")
	f.Add("spec: {steps: [{id: x, drain: {node: worker-1, timeout: 0s}}]}")
	f.Fuzz(func(t *testing.T, source string) {
		_, err := ParseRecorded("scenario.yaml", []byte(source))
		var all Errors
		if err != nil && !errors.As(err, &all) {
			t.Fatalf("error without places: %v", err)
		}
	})
}
