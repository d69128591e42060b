package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seatrial/seatrial/sim/proc"
)

// This binary is its own go command, and its own second seatrial process.
func TestMain(m *testing.M) {
	proc.Dispatch(map[string]func([]string) int{
		proc.ReaperEntry: quick(proc.ReaperMain),
		"env":            quick(fakeGo("env")),
		"list":           quick(fakeGo("list")),
		"mod":            quick(fakeGo("mod")),
		"build":          quick(fakeGo("build")),
		"_get":           getMain,
	})
	os.Exit(m.Run())
}

// closedURL is a host that nobody reaches.
const closedURL = "http://127.0.0.1:1"

// goWorld is a folder that tells the fake go command what there is. It is handed over as GOPROXY, one of the few
// variables that reach it:
//
//	listed   the versions that the proxy lists, in one line
//	served   the versions that it serves
//	hang     when it is there, a build writes half a binary and hangs
//	fail     when it is there, a build fails
//	calls    what was asked, a line each
type goWorld string

func newGoWorld(t *testing.T, listed, served string) goWorld {
	t.Helper()
	w := goWorld(t.TempDir())
	w.write(t, "listed", listed)
	w.write(t, "served", served)
	t.Setenv("GOPROXY", string(w))
	return w
}

func (w goWorld) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(w), name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (w goWorld) read(name string) string {
	data, _ := os.ReadFile(filepath.Join(string(w), name))
	return string(data)
}

func (w goWorld) has(name string) bool {
	_, err := os.Stat(filepath.Join(string(w), name))
	return err == nil
}

// calls are the calls that begin so.
func (w goWorld) calls(prefix string) []string {
	var calls []string
	for line := range strings.Lines(w.read("calls")) {
		if strings.HasPrefix(line, prefix) {
			calls = append(calls, strings.TrimSpace(line))
		}
	}
	return calls
}

// quick ends without what os.Exit does first: under the race detector it takes a second, and it writes to stderr when
// coverage is measured.
func quick(entry func([]string) int) func([]string) int {
	return func(args []string) int {
		syscall.Exit(entry(args))
		return 0
	}
}

func fakeGo(verb string) func([]string) int {
	return func(args []string) int { return runFakeGo(verb, args) }
}

func runFakeGo(verb string, args []string) int {
	w := goWorld(os.Getenv("GOPROXY"))
	log, err := os.OpenFile(filepath.Join(string(w), "calls"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(log, verb, strings.Join(args, " "))
	log.Close()
	switch verb {
	case "env":
		fmt.Fprintln(os.Stderr, "warning: something about the environment")
		fmt.Printf("{\"GOCACHE\": \"%s/gocache\", \"GOMODCACHE\": \"%s/gomodcache\"}\n", w, w)
	case "list":
		if w.has("offline") {
			fmt.Fprintln(os.Stderr, "go: dial tcp: no route to host")
			return 1
		}
		fmt.Println(module, w.read("listed"))
	case "mod":
		return w.modDownload(args[len(args)-1])
	case "build":
		return w.build(args)
	}
	return 0
}

func (w goWorld) modDownload(path string) int {
	version := path[strings.Index(path, "@")+1:]
	if !slices.Contains(strings.Fields(w.read("served")), version) {
		out, _ := json.MarshalIndent(map[string]string{"Path": module, "Error": path + ": 403 Forbidden"}, "", "\t")
		fmt.Println(string(out))
		return 1
	}
	gomod := filepath.Join(string(w), "go.mod")
	text := fmt.Sprintf("module %s\n\ngo 1.24.0\n\nrequire k8s.io/api v0.0.0\n\nreplace k8s.io/api => ./staging/src/k8s.io/api\n", module)
	if err := os.WriteFile(gomod, []byte(text), 0o644); err != nil {
		return 1
	}
	fmt.Fprintln(os.Stderr, "go: downloading "+path)
	out, _ := json.MarshalIndent(map[string]string{"Path": module, "GoMod": gomod}, "", "\t")
	fmt.Println(string(out))
	return 0
}

func (w goWorld) build(args []string) int {
	out := args[slices.Index(args, "-o")+1]
	fmt.Println("k8s.io/api/core/v1")
	if w.has("fail") {
		fmt.Println("# k8s.io/kubernetes/cmd/kube-apiserver\nmain.go:1: undefined: world")
		return 1
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return 1
	}
	for _, pkg := range args {
		name, ok := strings.CutPrefix(pkg, module+"/cmd/")
		if !ok {
			continue
		}
		file := filepath.Join(out, name)
		if w.has("hang") {
			_ = os.WriteFile(file, []byte("half"), 0o755)
			_ = os.WriteFile(filepath.Join(string(w), "hanging"), nil, 0o644)
			time.Sleep(time.Minute)
		}
		if err := os.WriteFile(file, []byte("built "+name), 0o755); err != nil {
			return 1
		}
	}
	time.Sleep(200 * time.Millisecond) // so that two processes meet
	return 0
}

// host is a download host for tests.
type host struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string]string // path to content
	hang  bool              // a binary comes by half, and then nothing
	asked []string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{files: map[string]string{}}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.Close)
	return h
}

// publish offers a version with all components.
func (h *host) publish(version string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range KnownComponents {
		path := fmt.Sprintf("/release/%s/bin/linux/%s/%s", version, runtime.GOARCH, c)
		content := version + " " + c
		sum := sha256.Sum256([]byte(content))
		h.files[path] = content
		h.files[path+".sha256"] = hex.EncodeToString(sum[:])
	}
}

// set changes what the host has while it serves.
func (h *host) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// requests are the paths asked for so far.
func (h *host) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.asked)
}

func (h *host) serve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.asked = append(h.asked, r.URL.Path)
	content, ok := h.files[r.URL.Path]
	hang := h.hang
	h.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	if hang && strings.Contains(r.URL.Path, "/bin/") && !strings.HasSuffix(r.URL.Path, ".sha256") {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = io.WriteString(w, content[:len(content)/2])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	}
	_, _ = io.WriteString(w, content)
}

// testStore is a store whose go command is this binary.
func testStore(t *testing.T, dir, baseURL string) (*Store, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	s, err := NewStore(Options{
		Dir: dir, BaseURL: baseURL, GoCommand: self(), Progress: &out, Supervisor: testSupervisor(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, &out
}

func testSupervisor(t *testing.T) func(context.Context) (*proc.Supervisor, error) {
	return sync1(func(ctx context.Context) (*proc.Supervisor, error) {
		supervisor, err := proc.NewSupervisor(ctx)
		if err == nil {
			t.Cleanup(func() {
				if err := supervisor.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		return supervisor, err
	})
}

// sync1 makes a supervisor once.
func sync1(make func(context.Context) (*proc.Supervisor, error)) func(context.Context) (*proc.Supervisor, error) {
	var mu sync.Mutex
	var supervisor *proc.Supervisor
	return func(ctx context.Context) (*proc.Supervisor, error) {
		mu.Lock()
		defer mu.Unlock()
		var err error
		if supervisor == nil {
			supervisor, err = make(ctx)
		}
		return supervisor, err
	}
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// getMain is a second seatrial: it gets ARGS[2] into the folder ARGS[0] from the host ARGS[1].
func getMain(args []string) int {
	ctx := context.Background()
	supervisor, err := proc.NewSupervisor(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	store, err := NewStore(Options{
		Dir: args[0], BaseURL: args[1], GoCommand: self(), Progress: os.Stderr,
		Supervisor: func(context.Context) (*proc.Supervisor, error) { return supervisor, nil },
	})
	if err == nil {
		_, err = store.Get(ctx, args[2], nil)
	}
	if closeErr := supervisor.Close(ctx); err == nil {
		err = closeErr
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startGet starts a second seatrial.
func startGet(t *testing.T, dir, baseURL, version string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(self(), "_get", dir, baseURL, version)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}
