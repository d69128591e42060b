package release

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/seatrial/seatrial/sim/gobuild"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/progress"
)

// askTimeout bounds a question to the go command.
const askTimeout = time.Minute

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

// newGo gives the go command a folder to work in. Its error says first why the download host can't be used, the only reason to build: mending either
// would do.
func (s *Store) newGo(supervisor *proc.Supervisor, dir string) (gobuild.Go, error) {
	g, err := gobuild.New(supervisor, s.goCommand, dir)
	if err != nil {
		return gobuild.Go{}, fmt.Errorf("%s can't be used (%w), and %w", s.baseURL, s.hostError(), err)
	}
	return g, nil
}

func (s *Store) checkBuildSpace(ctx context.Context, g gobuild.Go, t task) error {
	lines, err := g.Run(ctx, askTimeout, nil, "env", "-json", "GOCACHE", "GOMODCACHE")
	if err != nil {
		return err
	}
	var caches struct{ GOCACHE, GOMODCACHE string }
	if err := gobuild.DecodeOutput(lines, &caches); err != nil {
		return fmt.Errorf("read go env: %w", err)
	}
	return s.checkSpace(need{caches.GOCACHE, buildCacheSpace}, need{caches.GOMODCACHE, moduleCacheSpace}, need{string(t.folder), buildWorkSpace})
}

// compile builds the components into a folder.
func (s *Store) compile(ctx context.Context, g gobuild.Go, t task, out string) error {
	var packages []string
	for _, c := range t.components {
		packages = append(packages, module+"/cmd/"+c)
	}
	s.progress.Say("building %s of %s from its module; the first build of a minor takes 4 to 12 minutes on 2 cores",
		strings.Join(t.components, ", "), t.version)
	return g.Compile(ctx, gobuild.Compile{
		What: t.version, LinkFlags: linkFlags(t.version), Out: out + string(filepath.Separator), Packages: packages,
	}, s.progress)
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
	listed, err := g.Versions(ctx, module)
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
func (s *Store) moduleFile(ctx context.Context, g gobuild.Go, version string) ([]byte, error) {
	path, err := s.downloadModule(ctx, g, version)
	if err == nil {
		return os.ReadFile(path)
	}
	if ctx.Err() != nil {
		return nil, err
	}
	// Is it the version that is wrong, or the network?
	listed, listErr := g.Versions(ctx, module)
	if listErr != nil {
		return nil, errors.Join(err, listErr)
	}
	if !slices.Contains(listed, version) {
		return nil, unknownVersion(version, "module "+module, listed)
	}
	return nil, err
}

// downloadModule has a version of the module in the module cache, checked by the go command, and gives the path of its go.mod.
func (s *Store) downloadModule(ctx context.Context, g gobuild.Go, version string) (string, error) {
	defer s.progress.Finish()
	started := time.Now()
	downloaded, err := g.Download(ctx, module+"@"+version, &gobuild.Activity{Tick: func() {
		s.progress.Update("downloading the module %s@%s: %s", module, version, progress.Elapsed(started))
	}})
	return downloaded.GoMod, err
}
