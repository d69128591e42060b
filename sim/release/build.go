package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/semver"

	"github.com/seatrial/seatrial/sim/proc"
)

const (
	// buildTimeout bounds a build: all components took 12 minutes on 2 idle cores.
	buildTimeout = 2 * time.Hour
	// moduleTimeout bounds a question to the module proxy, and the download of the module (about 40 MB).
	moduleTimeout = 15 * time.Minute
	// stopGrace is what the go command gets to end by itself when the context ends.
	stopGrace = 3 * time.Second
)

// build has the components of a task from the module, with one go build.
func (s *Store) build(ctx context.Context, t task) error {
	g, err := s.newGo(t.supervisor, t.work)
	if err != nil {
		return err
	}
	if err := s.checkBuildSpace(ctx, g, t); err != nil {
		return err
	}
	gomod, err := s.moduleFile(ctx, g, t.version)
	if err != nil {
		return err
	}
	scratch, err := scratchModule(gomod, t.version)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(t.work, "go.mod"), scratch, 0o600); err != nil {
		return err
	}
	out := filepath.Join(t.work, "bin")
	if err := s.compile(ctx, g, t, out); err != nil {
		return fmt.Errorf("build %s: %w", strings.Join(t.components, ", "), err)
	}
	for _, c := range t.components {
		if err := t.folder.add(t.manifest, c, filepath.Join(out, c), Build); err != nil {
			return fmt.Errorf("store %q: %w", c, err)
		}
	}
	return nil
}

func (s *Store) checkBuildSpace(ctx context.Context, g goCommand, t task) error {
	lines, err := g.run(ctx, moduleTimeout, nil, "env", "-json", "GOCACHE", "GOMODCACHE")
	if err != nil {
		return err
	}
	var caches struct{ GOCACHE, GOMODCACHE string }
	if err := decodeOutput(lines, &caches); err != nil {
		return fmt.Errorf("read go env: %w", err)
	}
	return s.checkSpace(need{caches.GOCACHE, buildCacheSpace}, need{caches.GOMODCACHE, moduleCacheSpace}, need{string(t.folder), buildWorkSpace})
}

// compile runs go build. Its flags, but for those of the linker, are the ones that any other build of the release with the
// go command would use, so that the packages in the user's build cache serve.
func (s *Store) compile(ctx context.Context, g goCommand, t task, out string) error {
	args := []string{"build", "-v", "-trimpath", "-ldflags", linkFlags(t.version), "-o", out + string(filepath.Separator)}
	for _, c := range t.components {
		args = append(args, module+"/cmd/"+c)
	}
	s.progress.say("building %s of %s from its module; the first build of a minor takes 4 to 12 minutes on 2 cores",
		strings.Join(t.components, ", "), t.version)
	defer s.progress.finish()
	started := time.Now()
	watch := &compileWatch{now: "loading packages, or linking"}
	_, err := g.run(ctx, buildTimeout, &activity{
		onLine: watch.line,
		tick: func() {
			compiled, now := watch.state()
			s.progress.update("building %s from its module: %d packages compiled, %s, now %s", t.version, compiled, elapsed(started), now)
		},
	}, args...)
	if err != nil {
		return err
	}
	compiled, _ := watch.state()
	s.progress.say("built %s from its module: %d packages compiled, %s", t.version, compiled, elapsed(started))
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

// modulePatch is the newest patch of a minor in which the module can be had. A proxy lists versions that it does
// not serve, so each is tried, newest first.
func (s *Store) modulePatch(ctx context.Context, minor string) (_ string, err error) {
	supervisor, err := s.supervisor(ctx)
	if err != nil {
		return "", err
	}
	dir, err := supervisor.TempDir("", "seatrial-release-*")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, supervisor.RemoveDir(dir)) }()
	g, err := s.newGo(supervisor, dir)
	if err != nil {
		return "", err
	}
	listed, err := s.moduleVersions(ctx, g)
	if err != nil {
		return "", err
	}
	var tried []error
	for _, v := range slices.Backward(listed) {
		if semver.MajorMinor(v) != minor || semver.Prerelease(v) != "" || !isExact(v) {
			continue
		}
		_, err := s.downloadModule(ctx, g, v)
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return "", err
		}
		tried = append(tried, err)
	}
	if len(tried) > 0 {
		return "", fmt.Errorf("module %s lists versions of %s, and none could be had: %w", module, minor, errors.Join(tried...))
	}
	return "", unknownVersion(minor, "module "+module, listed)
}

// moduleFile is the go.mod of an exact version of the module.
func (s *Store) moduleFile(ctx context.Context, g goCommand, version string) ([]byte, error) {
	path, err := s.downloadModule(ctx, g, version)
	if err == nil {
		return os.ReadFile(path)
	}
	if ctx.Err() != nil {
		return nil, err
	}
	// Is it the version that is wrong, or the network?
	listed, listErr := s.moduleVersions(ctx, g)
	if listErr != nil {
		return nil, errors.Join(err, listErr)
	}
	if !slices.Contains(listed, version) {
		return nil, unknownVersion(version, "module "+module, listed)
	}
	return nil, err
}

// moduleVersions is the versions of the module, oldest first, that the module proxy lists.
func (s *Store) moduleVersions(ctx context.Context, g goCommand) ([]string, error) {
	lines, err := g.run(ctx, moduleTimeout, nil, "list", "-m", "-versions", module)
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

// downloadModule has a version of the module in the module cache, checked by the go command, and gives the path of its go.mod.
func (s *Store) downloadModule(ctx context.Context, g goCommand, version string) (string, error) {
	defer s.progress.finish()
	started := time.Now()
	lines, err := g.run(ctx, moduleTimeout, &activity{tick: func() {
		s.progress.update("downloading the module %s@%s: %s", module, version, elapsed(started))
	}}, "mod", "download", "-json", module+"@"+version)
	var info struct{ GoMod, Error string }
	if parseErr := decodeOutput(lines, &info); parseErr == nil && info.Error != "" {
		return "", fmt.Errorf("download module %s@%s: %s", module, version, info.Error)
	} else if err != nil || parseErr != nil {
		return "", fmt.Errorf("download module %s@%s: %w", module, version, errors.Join(err, parseErr))
	}
	return info.GoMod, nil
}

// goCommand is the go command in a folder.
type goCommand struct {
	supervisor *proc.Supervisor
	path       string
	dir        string
}

// newGo finds the go command and gives it a folder to work in.
func (s *Store) newGo(supervisor *proc.Supervisor, dir string) (goCommand, error) {
	path, err := exec.LookPath(s.goCommand)
	if err != nil {
		return goCommand{}, fmt.Errorf("%s can't be used, and a build from the module needs the go command: "+
			"install Go (https://go.dev/doc/install) and put it on PATH: %w", s.baseURL, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return goCommand{}, err
	}
	// Without a go.mod of its own the go command would look for one in the folders above.
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module scratch\n"), 0o600); err != nil {
		return goCommand{}, err
	}
	return goCommand{supervisor: supervisor, path: path, dir: dir}, nil
}

// activity follows a command while it runs.
type activity struct {
	// onLine, when set, gets each line of output, from another goroutine.
	onLine func(line string)
	// tick is called twice a second.
	tick func()
}

// run runs the go command and gives what it wrote, without its remarks ("go: downloading …").
func (g goCommand) run(ctx context.Context, timeout time.Duration, a *activity, args ...string) ([]string, error) {
	name := "go " + args[0]
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s has not ended within %s", name, timeout))
	defer cancel()
	var lines []string
	p, err := g.supervisor.Start(ctx, proc.Command{
		Name: name, Path: g.path, Args: args, Env: goEnvironment(g.dir), Dir: g.dir,
		OnLine: func(line string) {
			if !strings.HasPrefix(line, "go: ") {
				lines = append(lines, line)
			}
			if a != nil && a.onLine != nil {
				a.onLine(line)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.Done():
			return lines, p.Err()
		case <-tick.C:
			if a != nil {
				a.tick()
			}
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), p.Stop(context.WithoutCancel(ctx), stopGrace))
		}
	}
}

// decodeOutput reads the JSON object in the output of a command, among the warnings that it may have written.
func decodeOutput(lines []string, into any) error {
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

// goEnvironment is the environment of the go command. Its own temporary files go into the folder, so that they go with it.
func goEnvironment(dir string) []string {
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
