package berth

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
)

// NeedEngine skips the test where nodes in containers can't run. seatrial doctor says why.
func NeedEngine(t *testing.T) {
	t.Helper()
	out, err := exec.Command(seatrial, "doctor").CombinedOutput() //nolint:noctx // it bounds itself
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // something is missing; what could not be looked at is no reason
		t.Skipf("SKIP: nodes in containers can't run here:\n%s", out)
	}
	gomega.NewWithT(t).Expect(err).NotTo(gomega.HaveOccurred(), string(out))
}

// engineName is the container engine that works, or empty.
var engineName = sync.OnceValue(func() string {
	for _, name := range []string{"docker", "podman"} {
		if exec.Command(name, "info").Run() == nil { //nolint:noctx // a look
			return name
		}
	}
	return ""
})

// ask asks the container engine; that it has no answer fails g.
func ask(g gomega.Gomega, args ...string) []string {
	if engineName() == "" {
		return nil
	}
	out, err := exec.Command(engineName(), args...).CombinedOutput() //nolint:noctx // a look
	g.Expect(err).NotTo(gomega.HaveOccurred(), string(out))
	return strings.Fields(string(out))
}

// ids are those of the runs so far, which is what their clusters are called.
func (b *Berth) ids() []string {
	var ids []string
	for _, folder := range b.RunFolders() {
		ids = append(ids, filepath.Base(folder))
	}
	return ids
}

// ofRuns are the names that have the id of a run of this berth in them.
func (b *Berth) ofRuns(names []string) []string {
	var ours []string
	for _, name := range names {
		if slices.ContainsFunc(b.ids(), func(id string) bool { return strings.Contains(name, id) }) {
			ours = append(ours, name)
		}
	}
	return ours
}

// Containers are the containers of this berth's runs.
func (b *Berth) Containers() []string {
	return b.ofRuns(ask(b, "ps", "--all", "--format", "{{.Names}}"))
}

// InNode tells whether a program runs in a node of this berth's runs.
func (b *Berth) InNode(program string) bool {
	comms, _ := filepath.Glob("/proc/[0-9]*/comm")
	return slices.ContainsFunc(comms, func(path string) bool {
		comm, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(comm)) != program {
			return false
		}
		node, err := os.ReadFile(filepath.Join(filepath.Dir(path), "root/etc/hostname"))
		return err == nil && len(b.ofRuns([]string{string(node)})) > 0
	})
}

// NothingInEngine is the promise for kind clusters: no container, volume or network of this berth's runs, no names that are served, and no claim. The engine is asked again when it has no
// answer: podman gives up a list of volumes when one of them is removed meanwhile.
func (b *Berth) NothingInEngine(within time.Duration) {
	b.t.Helper()
	cache, err := os.UserCacheDir()
	b.Expect(err).NotTo(gomega.HaveOccurred())
	b.Eventually(func(g gomega.Gomega) []string {
		left := b.ofRuns(ask(g, "ps", "--all", "--format", "{{.Names}}"))
		left = append(left, b.ofRuns(ask(g, "network", "ls", "--format", "{{.Name}}"))...)
		left = append(left, b.ofRuns(ask(g, "volume", "ls", "--format", "{{.Name}}/{{.Labels}}"))...)
		claims, _ := filepath.Glob(filepath.Join(cache, "seatrial", "clusters", "*"))
		served, _ := filepath.Glob("/run/containers/networks/aardvark-dns/*") // the names of podman's networks
		return append(left, b.ofRuns(slices.Concat(claims, served))...)
	}, within, 200*time.Millisecond).Should(gomega.BeEmpty())
}
