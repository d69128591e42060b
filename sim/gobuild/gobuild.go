// Package gobuild builds executables of other modules with the ordinary go command: Kubernetes, etcd, CoreDNS and the like, which are not linked
// into seatrial and would not all fit into one module.
//
//	store, err := gobuild.NewStore(gobuild.Options{Supervisor: supervisor, Progress: progress})
//	…
//	bin, err := store.Get(ctx, gobuild.Module{
//		Name:     "etcd-v3.6.16",
//		Require:  []string{"go.etcd.io/etcd/server/v3@v3.6.16"},
//		Packages: map[string]string{"etcd": "go.etcd.io/etcd/server/v3"},
//	})
package gobuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/semver"

	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/progress"
)

const (
	// Timeout bounds a build: all components of Kubernetes took 12 minutes on 2 idle cores.
	Timeout = 2 * time.Hour
	// stopGrace is what the go command gets to end by itself when the context ends.
	stopGrace = 3 * time.Second
)

// Go is the go command in a folder.
type Go struct {
	supervisor *proc.Supervisor
	path       string
	dir        string
}

// New finds the go command, a name on PATH or a path, and gives it a folder to work in. The error says how to get it.
func New(supervisor *proc.Supervisor, command, dir string) (Go, error) {
	path, err := exec.LookPath(command)
	if err != nil {
		return Go{}, fmt.Errorf("a build needs the go command: install Go (https://go.dev/doc/install) and put it on PATH: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return Go{}, err
	}
	// Without a go.mod of its own the go command would look for one in the folders above.
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module scratch\n"), 0o600); err != nil {
		return Go{}, err
	}
	return Go{supervisor: supervisor, path: path, dir: dir}, nil
}

// Activity follows a command while it runs.
type Activity struct {
	// OnLine, when set, gets each line of output, from another goroutine.
	OnLine func(line string)
	// Tick is called twice a second.
	Tick func()
}

// Run runs the go command and gives what it wrote, without its remarks ("go: downloading …"). The timeout's error names the command.
func (g Go) Run(ctx context.Context, timeout time.Duration, a *Activity, args ...string) ([]string, error) {
	name := "go " + args[0]
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s has not ended within %s", name, timeout))
	defer cancel()
	var lines []string
	command := proc.Command{
		Name: name, Path: g.path, Args: args, Env: environment(g.dir), Dir: g.dir,
		OnLine: func(line string) {
			if !strings.HasPrefix(line, "go: ") {
				lines = append(lines, line)
			}
			if a != nil && a.OnLine != nil {
				a.OnLine(line)
			}
		},
	}
	if a != nil {
		defer every(500*time.Millisecond, a.Tick)()
	}
	err := g.supervisor.Run(ctx, command, stopGrace)
	if ctx.Err() != nil {
		return nil, err
	}
	return lines, err
}

// moduleTimeout bounds a question to the module proxy, and the download of a module (that of Kubernetes has about 40 MB).
const moduleTimeout = 15 * time.Minute

// Downloaded is where the module cache has a module: its files, and its go.mod.
type Downloaded struct{ Dir, GoMod string }

// Download has a module ("go.etcd.io/etcd/server/v3@v3.6.16") in the module cache, checked by the go command.
func (g Go) Download(ctx context.Context, module string, a *Activity) (Downloaded, error) {
	lines, err := g.Run(ctx, moduleTimeout, a, "mod", "download", "-json", module)
	var info struct {
		Downloaded
		Error string
	}
	if parseErr := DecodeOutput(lines, &info); parseErr == nil && info.Error != "" {
		return Downloaded{}, fmt.Errorf("download module %s: %s", module, info.Error)
	} else if err != nil || parseErr != nil {
		return Downloaded{}, fmt.Errorf("download module %s: %w", module, errors.Join(err, parseErr))
	}
	return info.Downloaded, nil
}

// Versions is the versions of a module, oldest first, that the module proxy lists, which need not be those that it serves.
func (g Go) Versions(ctx context.Context, module string) ([]string, error) {
	lines, err := g.Run(ctx, moduleTimeout, nil, "list", "-m", "-versions", module)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == module {
			semver.Sort(fields[1:])
			return fields[1:], nil
		}
	}
	return nil, fmt.Errorf("go list -m -versions %s: no line about it in %q", module, lines)
}

// every calls a function again and again until stop is called.
func every(interval time.Duration, do func()) (stop func()) {
	ticker := time.NewTicker(interval)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				do()
			case <-end:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(end)
		<-ended
	}
}

// Compile is one go build.
type Compile struct {
	// What is built, for the progress: "v1.34.4".
	What string
	// LinkFlags are those of -ldflags.
	LinkFlags string
	// Out is the folder for the executables, or, for a single package, the executable.
	Out string
	// Packages are what to build.
	Packages []string
}

// Compile runs go build and says how far it is. Its flags, but for those of the linker, are the ones that any other build with the go
// command would use, so that the packages in the user's build cache serve.
func (g Go) Compile(ctx context.Context, c Compile, p *progress.Progress) error {
	defer p.Finish()
	started := time.Now()
	watch := &compileWatch{now: "loading packages, or linking"}
	_, err := g.Run(ctx, Timeout, &Activity{
		OnLine: watch.line,
		Tick: func() {
			compiled, now := watch.state()
			p.Update("building %s from its module: %d packages compiled, %s, now %s", c.What, compiled, progress.Elapsed(started), now)
		},
	}, append([]string{"build", "-v", "-trimpath", "-ldflags", c.LinkFlags, "-o", c.Out}, c.Packages...)...)
	if err != nil {
		return err
	}
	compiled, _ := watch.state()
	p.Say("built %s from its module: %d packages compiled, %s", c.What, compiled, progress.Elapsed(started))
	return nil
}

// compileWatch follows the output of go build -v.
type compileWatch struct {
	mu       sync.Mutex
	compiled int
	now      string
}

func (w *compileWatch) line(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if what, ok := strings.CutPrefix(line, "go: "); ok {
		w.now = what // downloading …
	} else if line != "" && !strings.ContainsAny(line, " \t#") {
		w.compiled++
		w.now = line
	}
}

func (w *compileWatch) state() (int, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.compiled, w.now
}

// DecodeOutput reads the JSON object in the output of a command, among the warnings that it may have written.
func DecodeOutput(lines []string, into any) error {
	text := strings.Join(lines, "\n")
	begin := strings.Index(text, "{")
	if begin < 0 {
		return fmt.Errorf("no JSON in %q", text)
	}
	return json.NewDecoder(strings.NewReader(text[begin:])).Decode(into)
}

// inherited are the variables that say where the go command keeps and gets things. Those that change what it
// builds (GOFLAGS, GOARCH, GOEXPERIMENT, …) are not among them: a release is the same on every machine.
var inherited = []string{
	"PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
	"GOPATH", "GOROOT", "GOCACHE", "GOMODCACHE", "GOENV", "GOTOOLCHAIN", "GOMAXPROCS",
	"GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOAUTH", "GOVCS", "NETRC",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
}

// environment is the environment of the go command. Its own temporary files go into the folder, so that they go with it.
func environment(dir string) []string {
	var env []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env,
		"CGO_ENABLED=0",
		"GO111MODULE=on",
		"GOARCH="+runtime.GOARCH,
		"GOFLAGS=-mod=mod -buildvcs=false",
		"GOOS=linux",
		"GOTMPDIR="+filepath.Join(dir, "tmp"),
		"GOWORK=off",
	)
}
