package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

const version = "v1.34.4"

// wantFiles fails the test when a release does not have exactly these contents, or anything unfinished is beside them.
func wantFiles(t *testing.T, r Release, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for name, file := range r.Components {
		data, err := os.ReadFile(file.Path)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(data)
		if info, err := os.Stat(file.Path); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s is not executable: %v %v", name, info.Mode(), err)
		}
		if sum, err := hashFile(file.Path); err != nil || sum != file.SHA256 {
			t.Errorf("%s has SHA-256 %s, said was %s (%v)", name, sum, file.SHA256, err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	wantNoLeftovers(t, r.Dir)
}

func wantNoLeftovers(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, workPrefix+"*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

// wantError fails the test when the error is nil or does not say all this.
func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}

func wantInputError(t *testing.T, err error, texts ...string) {
	t.Helper()
	wantError(t, err, texts...)
	if input := (*InputError)(nil); !errors.As(err, &input) {
		t.Errorf("not an InputError: %v", err)
	}
}

var built = map[string]string{
	"kube-apiserver":          "built kube-apiserver",
	"kube-controller-manager": "built kube-controller-manager",
	"kube-scheduler":          "built kube-scheduler",
}

func TestGetDownloads(t *testing.T) {
	h := newHost(t)
	h.publish(version)
	s, out := testStore(t, t.TempDir(), h.URL)
	r, err := s.Get(t.Context(), version, []string{"kubectl", "kubelet", "kubectl"})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, r, map[string]string{"kubectl": version + " kubectl", "kubelet": version + " kubelet"})
	if r.Version != version || r.Components["kubectl"].Source != Download {
		t.Errorf("got %+v", r)
	}
	if !strings.Contains(out.String(), "downloaded v1.34.4 kubectl: 0.0 MB") {
		t.Errorf("progress: %s", out)
	}
}

func TestGetFromTheCacheDoesNothing(t *testing.T) {
	h := newHost(t)
	h.publish(version)
	dir := t.TempDir()
	s, _ := testStore(t, dir, h.URL)
	first, err := s.Get(t.Context(), version, nil)
	if err != nil {
		t.Fatal(err)
	}
	asked := len(h.requests())
	// A store that can do nothing, and a minor, which the cache answers too.
	cached, err := NewStore(Options{Dir: dir, BaseURL: h.URL, GoCommand: "/nonexistent/go"})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{version, "v1.34"} {
		second, err := cached.Get(t.Context(), v, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("-first +second:\n%s", diff)
		}
	}
	if len(h.requests()) != asked {
		t.Errorf("asked for %q", h.requests()[asked:])
	}
}

func TestGetMoreComponentsKeepsTheOthers(t *testing.T) {
	h := newHost(t)
	h.publish(version)
	s, _ := testStore(t, t.TempDir(), h.URL)
	for _, c := range []string{"kubectl", "kubelet"} {
		if _, err := s.Get(t.Context(), version, []string{c}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		t.Fatalf("listed %+v", all)
	}
	wantFiles(t, all[0], map[string]string{"kubectl": version + " kubectl", "kubelet": version + " kubelet"})
}

func TestGetThrowsAwayADownloadWithAnotherChecksum(t *testing.T) {
	w := newGoWorld(t, version, version)
	h := newHost(t)
	h.publish(version)
	path := "/release/" + version + "/bin/linux/" + runtime.GOARCH + "/kube-controller-manager"
	published := h.files[path+".sha256"]
	h.set(func() { h.files[path] = "something else" })
	s, _ := testStore(t, t.TempDir(), h.URL)
	_, err := s.Get(t.Context(), version, nil)
	sum := sha256.Sum256([]byte("something else"))
	got := hex.EncodeToString(sum[:])
	wantError(t, err, `get release "v1.34.4"`, `download "kube-controller-manager"`, "checksum mismatch", got, published, "thrown away")
	if calls := w.calls(""); len(calls) > 0 {
		t.Errorf("the go command was called: %q", calls)
	}
	folder := filepath.Join(s.dir, version)
	if _, err := os.Stat(filepath.Join(folder, "kube-controller-manager")); !os.IsNotExist(err) {
		t.Errorf("the file is there: %v", err)
	}
	wantNoLeftovers(t, folder)

	h.set(func() { h.files[path] = version + " kube-controller-manager" })
	if _, err := s.Get(t.Context(), version, nil); err != nil {
		t.Errorf("the next Get: %v", err)
	}
}

func TestGetRefusesAChecksumThatIsNone(t *testing.T) {
	h := newHost(t)
	h.publish(version)
	h.set(func() {
		h.files["/release/"+version+"/bin/linux/"+runtime.GOARCH+"/kubectl.sha256"] = "<html>log in first</html>"
	})
	s, _ := testStore(t, t.TempDir(), h.URL)
	_, err := s.Get(t.Context(), version, []string{"kubectl"})
	wantError(t, err, "kubectl.sha256 is not a SHA-256", "log in first")
}

func TestGetBuildsWhenTheHostCannotBeUsed(t *testing.T) {
	broken := newHost(t)
	broken.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "blocked", http.StatusForbidden)
	})
	for name, url := range map[string]string{"unreachable": closedURL, "blocked": broken.URL} {
		t.Run(name, func(t *testing.T) {
			w := newGoWorld(t, version, version)
			s, out := testStore(t, t.TempDir(), url)
			r, err := s.Get(t.Context(), version, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantFiles(t, r, built)
			if r.Components["kube-apiserver"].Source != Build {
				t.Errorf("got %+v", r)
			}
			builds := w.calls("build")
			if len(builds) != 1 || !strings.Contains(builds[0], "-trimpath") || !strings.HasSuffix(builds[0],
				"k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kube-scheduler") {
				t.Errorf("builds: %q", builds)
			}
			for _, text := range []string{"building from the module with the go command instead", "built v1.34.4 from its module: 1 packages compiled"} {
				if !strings.Contains(out.String(), text) {
					t.Errorf("progress does not say %q: %s", text, out)
				}
			}
		})
	}
}

func TestGetSaysWhatABuildSaid(t *testing.T) {
	w := newGoWorld(t, version, version)
	w.write(t, "fail", "")
	s, _ := testStore(t, t.TempDir(), closedURL)
	_, err := s.Get(t.Context(), version, nil)
	wantError(t, err, "build kube-apiserver, kube-controller-manager, kube-scheduler", "exited with status 1", "undefined: world")
	if _, err := os.Stat(filepath.Join(s.dir, version)); !os.IsNotExist(err) {
		t.Errorf("an empty folder is left: %v", err)
	}
}

func TestGetAMinor(t *testing.T) {
	t.Run("published", func(t *testing.T) {
		h := newHost(t)
		h.publish("v1.34.6")
		h.set(func() { h.files["/release/stable-1.34.txt"] = "v1.34.6\n" })
		s, _ := testStore(t, t.TempDir(), h.URL)
		r, err := s.Get(t.Context(), "v1.34", nil)
		if err != nil || r.Version != "v1.34.6" {
			t.Errorf("got %+v, %v", r, err)
		}
	})
	t.Run("newest that the module can be had in", func(t *testing.T) {
		w := newGoWorld(t, "v1.34.2 v1.34.10 v1.34.4 v1.34.11-rc.0 v1.35.0", "v1.34.2 v1.34.4")
		s, _ := testStore(t, t.TempDir(), closedURL)
		r, err := s.Get(t.Context(), "v1.34", nil)
		if err != nil || r.Version != "v1.34.4" {
			t.Errorf("got %+v, %v", r, err)
		}
		want := []string{"mod download -json k8s.io/kubernetes@v1.34.10", "mod download -json k8s.io/kubernetes@v1.34.4"}
		if got := w.calls("mod")[:2]; !slices.Equal(got, want) {
			t.Errorf("tried %q", got)
		}
	})
	t.Run("none served", func(t *testing.T) {
		newGoWorld(t, "v1.34.2", "")
		s, _ := testStore(t, t.TempDir(), closedURL)
		_, err := s.Get(t.Context(), "v1.34", nil)
		wantError(t, err, "lists versions of v1.34, and none could be had", "v1.34.2: 403 Forbidden")
	})
}

func TestGetAnUnknownVersion(t *testing.T) {
	t.Run("download host", func(t *testing.T) {
		h := newHost(t)
		h.set(func() { h.files["/release/stable.txt"] = "v1.36.3\n" })
		h.set(func() { h.files["/release/stable-1.35.txt"] = "v1.35.7\n" })
		s, _ := testStore(t, t.TempDir(), h.URL)
		for _, v := range []string{"v1.99", "v1.36.99"} {
			_, err := s.Get(t.Context(), v, nil)
			wantInputError(t, err, "does not have "+v, "v1.36.3, v1.35.7")
		}
		if left, _ := filepath.Glob(filepath.Join(s.dir, "v*[0-9]")); len(left) > 0 {
			t.Errorf("left over: %q", left)
		}
	})
	t.Run("module", func(t *testing.T) {
		newGoWorld(t, "v1.33.1 v1.34.4 v1.34.10 v1.35.0-rc.1", "v1.34.4")
		s, _ := testStore(t, t.TempDir(), closedURL)
		for _, v := range []string{"v1.99", "v1.36.99"} {
			_, err := s.Get(t.Context(), v, nil)
			wantInputError(t, err, "module k8s.io/kubernetes does not have "+v, "v1.34.10, v1.33.1")
		}
	})
	t.Run("listed but not served", func(t *testing.T) {
		newGoWorld(t, "v1.34.4", "")
		s, _ := testStore(t, t.TempDir(), closedURL)
		_, err := s.Get(t.Context(), version, nil)
		wantError(t, err, "download module k8s.io/kubernetes@v1.34.4", "403 Forbidden")
	})
	t.Run("no network at all", func(t *testing.T) {
		w := newGoWorld(t, "", "")
		w.write(t, "offline", "")
		s, _ := testStore(t, t.TempDir(), closedURL)
		_, err := s.Get(t.Context(), version, nil)
		wantError(t, err, "403 Forbidden", "no route to host")
		if input := (*InputError)(nil); errors.As(err, &input) {
			t.Errorf("an InputError: %v", err)
		}
	})
}

func TestGetChecksItsInput(t *testing.T) {
	s, _ := testStore(t, t.TempDir(), closedURL)
	for _, v := range []string{"", "1.34", "v1", "v1.34.", "v1.34.4.1", "v2.0", "v1.034", "latest", "v1.34.4+k3s1", "v1.34/../..", "v1.34.4\n"} {
		_, err := s.Get(t.Context(), v, nil)
		wantInputError(t, err, "is neither a minor, as v1.34, nor a release, as v1.34.4")
	}
	_, err := s.Get(t.Context(), version, []string{"kubectl", "etcd", "../kubelet"})
	wantInputError(t, err, `unknown component "etcd", "../kubelet"; known are kube-apiserver, kube-controller-manager, kube-proxy`)
}

func TestGetWithoutAGoCommand(t *testing.T) {
	s, _ := testStore(t, t.TempDir(), closedURL)
	s.goCommand = "/nonexistent/go"
	for _, v := range []string{version, "v1.34"} {
		_, err := s.Get(t.Context(), v, nil)
		wantError(t, err, closedURL+" can't be used (", "connection refused", "needs the go command", "install Go")
	}
}

func TestGetWithoutSpace(t *testing.T) {
	h := newHost(t)
	h.publish(version)
	t.Run("download", func(t *testing.T) {
		s, _ := testStore(t, t.TempDir(), h.URL)
		s.freeSpace = func(string) (space, error) { return space{free: 100e6}, nil }
		_, err := s.Get(t.Context(), version, nil)
		wantError(t, err, "not enough space for "+filepath.Join(s.dir, version), "524.3 MB needed, 100.0 MB free")
	})
	t.Run("build on one file system", func(t *testing.T) {
		w := newGoWorld(t, version, version)
		s, _ := testStore(t, t.TempDir(), closedURL)
		s.freeSpace = func(string) (space, error) { return space{free: 5e9}, nil }
		_, err := s.Get(t.Context(), version, nil)
		wantError(t, err, "not enough space", string(w)+"/gocache, "+string(w)+"/gomodcache, "+s.dir, "6.4 GB needed, 5.0 GB free")
	})
	t.Run("build on several", func(t *testing.T) {
		w := newGoWorld(t, version, version)
		s, _ := testStore(t, t.TempDir(), closedURL)
		s.freeSpace = func(path string) (space, error) {
			if strings.HasSuffix(path, "/gocache") {
				return space{free: 1e9, device: 1}, nil
			}
			return space{free: 5e9, device: 2}, nil
		}
		_, err := s.Get(t.Context(), version, nil)
		wantError(t, err, "not enough space for "+string(w)+"/gocache: 3.2 GB needed, 1.0 GB free")
		if strings.Contains(err.Error(), "gomodcache") {
			t.Errorf("too much blamed: %v", err)
		}
	})
}

func TestFreeSpaceOfAFolderThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	there, err := freeSpace(dir)
	if err != nil {
		t.Fatal(err)
	}
	not, err := freeSpace(filepath.Join(dir, "not", "there"))
	if err != nil || not.device != there.device || there.free == 0 {
		t.Errorf("got %+v and %+v, %v", there, not, err)
	}
}

func TestGetReplacesACorruptFile(t *testing.T) {
	corrupt := map[string]func(path string) error{
		"shorter":     func(path string) error { return os.Truncate(path, 3) },
		"gone":        os.Remove,
		"a link":      func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/bin/true", path)) },
		"same length": func(path string) error { return os.WriteFile(path, []byte("v1.34.4 KUBECTL"), 0o755) },
		"no manifest": func(path string) error { return os.Remove(filepath.Join(filepath.Dir(path), manifestName)) },
		"half a manifest": func(path string) error {
			return os.Truncate(filepath.Join(filepath.Dir(path), manifestName), 20)
		},
		"a null manifest": func(path string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(path), manifestName), []byte("null"), 0o644)
		},
	}
	for name, harm := range corrupt {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.publish(version)
			s, out := testStore(t, t.TempDir(), h.URL)
			components := []string{"kubectl"}
			r, err := s.Get(t.Context(), version, components)
			if err != nil {
				t.Fatal(err)
			}
			if err := harm(r.Components["kubectl"].Path); err != nil {
				t.Fatal(err)
			}
			if r, err = s.Get(t.Context(), version, components); err != nil {
				t.Fatal(err)
			}
			wantFiles(t, r, map[string]string{"kubectl": version + " kubectl"})
			if n := strings.Count(out.String(), "downloaded"); n != 2 {
				t.Errorf("%d downloads:\n%s", n, out)
			}
		})
	}
}

func TestGetBelievesACopiedCacheByItsHash(t *testing.T) {
	h := newHost(t)
	h.publish(version)
	s, _ := testStore(t, t.TempDir(), h.URL)
	r, err := s.Get(t.Context(), version, []string{"kubectl"})
	if err != nil {
		t.Fatal(err)
	}
	asked := len(h.requests())
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(r.Components["kubectl"].Path, later, later); err != nil {
		t.Fatal(err)
	}
	again, err := s.Get(t.Context(), "v1.34", []string{"kubectl"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, again); diff != "" || len(h.requests()) != asked {
		t.Errorf("asked %q; -first +second:\n%s", h.requests()[asked:], diff)
	}
	f := folder(r.Dir)
	if !f.manifest().unchanged(f, []string{"kubectl"}) {
		t.Error("the new time is not in the manifest: each Get would hash again")
	}
}

func TestTwoProcessesBuildOnce(t *testing.T) {
	w := newGoWorld(t, version, version)
	dir := t.TempDir()
	first, firstOut := startGet(t, dir, closedURL, version)
	second, secondOut := startGet(t, dir, closedURL, version)
	if err := errors.Join(first.Wait(), second.Wait()); err != nil {
		t.Fatalf("%v\nfirst: %s\nsecond: %s", err, firstOut, secondOut)
	}
	if builds := w.calls("build"); len(builds) != 1 {
		t.Errorf("%d builds: %q", len(builds), builds)
	}
	both := firstOut.String() + secondOut.String()
	if n := strings.Count(both, "waiting for process "); n > 1 || (n == 1 && !strings.Contains(both, "which is getting release \"v1.34.4\"")) {
		t.Errorf("%d said they wait:\n%s", n, both)
	}
	s, _ := testStore(t, dir, closedURL)
	r, err := s.Get(t.Context(), version, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, r, built)
}

func TestGetAfterAKilledBuild(t *testing.T) {
	w := newGoWorld(t, version, version)
	w.write(t, "hang", "")
	dir := t.TempDir()
	cmd, out := startGet(t, dir, closedURL, version)
	g := gomega.NewWithT(t)
	g.Eventually(func() bool { return w.has("hanging") }, 10*time.Second, 10*time.Millisecond).Should(gomega.BeTrue(), "no build began: %s", out)
	killed(t, cmd.Process.Kill, cmd.Wait)

	if err := os.Remove(filepath.Join(string(w), "hang")); err != nil {
		t.Fatal(err)
	}
	s, _ := testStore(t, dir, closedURL)
	if all, err := s.List(); err != nil || len(all) > 0 {
		t.Errorf("listed %+v, %v", all, err)
	}
	r, err := s.Get(t.Context(), version, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, r, built)
	if builds := w.calls("build"); len(builds) != 2 {
		t.Errorf("%d builds: %q", len(builds), builds)
	}
}

func TestGetAfterAKilledDownload(t *testing.T) {
	h := newHost(t)
	h.publish(version)
	h.set(func() { h.hang = true })
	dir := t.TempDir()
	cmd, out := startGet(t, dir, h.URL, version)
	s, _ := testStore(t, dir, h.URL)
	g := gomega.NewWithT(t)
	g.Eventually(func() []string {
		files, _ := filepath.Glob(filepath.Join(s.dir, version, workPrefix+"*", "kube-apiserver"))
		return files
	}, 10*time.Second, 10*time.Millisecond).Should(gomega.HaveLen(1), "no download began: %s", out)
	killed(t, cmd.Process.Kill, cmd.Wait)

	h.set(func() { h.hang = false })
	r, err := s.Get(t.Context(), version, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, r, map[string]string{
		"kube-apiserver":          version + " kube-apiserver",
		"kube-controller-manager": version + " kube-controller-manager",
		"kube-scheduler":          version + " kube-scheduler",
	})
}

func killed(t *testing.T, kill, wait func() error) {
	t.Helper()
	if err := kill(); err != nil {
		t.Fatal(err)
	}
	if err := wait(); err == nil {
		t.Fatal("it ended by itself")
	}
}

func TestGetRemovesLeftOverFiles(t *testing.T) {
	h := newHost(t)
	h.publish(version)
	s, _ := testStore(t, t.TempDir(), h.URL)
	left := filepath.Join(s.dir, version, ".work-ofadeadprocess", "bin")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), version, []string{"kubectl"})
	if err != nil {
		t.Fatal(err)
	}
	wantNoLeftovers(t, r.Dir)
}

func TestGetStopsWhenItsContextEnds(t *testing.T) {
	t.Run("waiting for the lock", func(t *testing.T) {
		s, out := testStore(t, t.TempDir(), closedURL)
		unlock, err := s.lock(t.Context(), version)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err = s.Get(ctx, version, nil)
		pid := " process " + strconv.Itoa(os.Getpid())
		wantError(t, err, `lock release "v1.34.4":`+pid+" has it", "deadline exceeded")
		if !strings.Contains(out.String(), "waiting for"+pid+", which is getting release \"v1.34.4\"") {
			t.Errorf("progress: %s", out)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("not the context's error: %v", err)
		}
	})
	t.Run("building", func(t *testing.T) {
		w := newGoWorld(t, version, version)
		w.write(t, "hang", "")
		s, _ := testStore(t, t.TempDir(), closedURL)
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		started := time.Now()
		_, err := s.Get(ctx, version, nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) > 10*time.Second {
			t.Errorf("after %s: %v", time.Since(started), err)
		}
		if _, err := os.Stat(filepath.Join(s.dir, version)); !os.IsNotExist(err) {
			t.Errorf("the folder is left: %v", err)
		}
	})
	t.Run("downloading", func(t *testing.T) {
		w := newGoWorld(t, version, version)
		h := newHost(t)
		h.publish(version)
		h.set(func() { h.hang = true })
		s, _ := testStore(t, t.TempDir(), h.URL)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := s.Get(ctx, version, nil)
		wantError(t, err, `download "kube-apiserver"`, "after 0.0 MB", "deadline exceeded")
		if calls := w.calls(""); len(calls) > 0 {
			t.Errorf("the go command was called: %q", calls)
		}
	})
}

func TestADyingProcessFreesItsLock(t *testing.T) {
	s, _ := testStore(t, t.TempDir(), closedURL)
	unlock, err := s.lock(t.Context(), version)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	file, err := os.Open(filepath.Join(s.dir, version+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("still locked: %v", err)
	}
}

func TestListIsNewestFirst(t *testing.T) {
	h := newHost(t)
	s, _ := testStore(t, t.TempDir(), h.URL)
	if all, err := s.List(); err != nil || len(all) > 0 {
		t.Errorf("of no folder: %+v, %v", all, err)
	}
	for _, v := range []string{"v1.34.2", "v1.34.10", "v1.35.0-rc.1", "v1.9.1"} {
		h.publish(v)
		if _, err := s.Get(t.Context(), v, []string{"kubectl"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "v1.36.0"), 0o755); err != nil {
		t.Fatal(err)
	}
	all, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range all {
		got = append(got, r.Version)
	}
	if want := []string{"v1.35.0-rc.1", "v1.34.10", "v1.34.2", "v1.9.1"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if r, err := s.Get(t.Context(), "v1.34", []string{"kubectl"}); err != nil || r.Version != "v1.34.10" {
		t.Errorf("got %+v, %v", r, err)
	}
}
