package gobuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/mod/semver"

	"github.com/seatrial/seatrial/sim/lock"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/progress"
)

// Module is a module that exists to build executables, of other modules or of sources of its own.
type Module struct {
	// Name is what people call it: "etcd-v3.6.16".
	Name string `json:"name"`
	// Path is the module's own path. Empty means "scratch".
	Path string `json:"path"`
	// Require are modules with their exact versions, "go.etcd.io/etcd/server/v3@v3.6.16". What they need in turn the go command finds.
	Require []string `json:"require"`
	// Files are sources of its own, by their paths in the module.
	Files map[string]string `json:"files"`
	// Packages are the executables, each with its package.
	Packages map[string]string `json:"packages"`
}

// Key names all that the executables depend on, but for the go command: two modules with one key build the same.
func (m Module) Key() string {
	data, err := json.Marshal(m) // maps are sorted
	if err != nil {
		panic(err) // strings only
	}
	sum := sha256.Sum256(append(data, runtime.GOARCH...))
	return hex.EncodeToString(sum[:])[:16]
}

// Options are what a store needs.
type Options struct {
	// Dir is the folder that the executables are kept in. Empty means seatrial/tools in the user's cache folder.
	Dir string
	// Supervisor gives the supervisor of the go command. Only a Get that has to build calls it.
	Supervisor func(context.Context) (*proc.Supervisor, error)
	// Progress is where work that takes long says how far it is.
	Progress *progress.Progress
	// GoCommand is the go command, a name on PATH or a path. Empty means "go".
	GoCommand string
}

// Store keeps the executables that were built once. Its methods may be called from several goroutines and processes.
type Store struct{ options Options }

// NewStore is a store on a folder, which need not be there yet.
func NewStore(o Options) (*Store, error) {
	if o.Dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the folder of built tools: %w", err)
		}
		o.Dir = filepath.Join(cache, "seatrial", "tools")
	}
	if o.GoCommand == "" {
		o.GoCommand = "go"
	}
	return &Store{options: o}, nil
}

// Get is the folder with a module's executables, which are built when they are not there. A folder that is there is complete.
func (s *Store) Get(ctx context.Context, m Module) (string, error) {
	dir := filepath.Join(s.options.Dir, m.Name+"-"+m.Key())
	if isDir(dir) {
		return dir, nil
	}
	unlock, err := lock.Take(ctx, dir+".lock", fmt.Sprintf("tool %q", m.Name), s.options.Progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(dir) {
		return dir, nil
	}
	if err := s.build(ctx, m, dir); err != nil {
		return "", fmt.Errorf("build %s: %w", m.Name, err)
	}
	return dir, nil
}

// Newer lists the versions of a module that the module proxy serves and that are newer than this one in the same minor, oldest first.
func (s *Store) Newer(ctx context.Context, module, version string) (newer []string, err error) {
	err = s.work(ctx, func(_ string, g Go) error {
		listed, err := g.Versions(ctx, module)
		if err != nil {
			return err
		}
		for _, v := range listed {
			if semver.MajorMinor(v) != semver.MajorMinor(version) || semver.Prerelease(v) != "" || semver.Compare(v, version) <= 0 {
				continue
			}
			if _, err := g.Download(ctx, module+"@"+v, nil); err == nil {
				newer = append(newer, v)
			} else if ctx.Err() != nil {
				return err
			}
		}
		return nil
	})
	return newer, err
}

// work gives do a folder to work in, which is gone afterwards, and the go command in it.
func (s *Store) work(ctx context.Context, do func(dir string, g Go) error) (err error) {
	supervisor, err := s.options.Supervisor(ctx)
	if err != nil {
		return err
	}
	dir, err := supervisor.TempDir(s.options.Dir, ".work-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, supervisor.RemoveDir(dir)) }()
	g, err := New(supervisor, s.options.GoCommand, dir)
	if err != nil {
		return err
	}
	return do(dir, g)
}

// build builds beside the folder, and renames.
func (s *Store) build(ctx context.Context, m Module, dir string) error {
	return s.work(ctx, func(work string, g Go) error {
		if err := m.write(ctx, g, work); err != nil {
			return err
		}
		out := filepath.Join(work, "bin")
		for _, executable := range slices.Sorted(maps.Keys(m.Packages)) {
			err := g.Compile(ctx, Compile{
				What: executable + " of " + m.Name, LinkFlags: "-s -w", Out: filepath.Join(out, executable), Packages: []string{m.Packages[executable]},
			}, s.options.Progress)
			if err != nil {
				return err
			}
		}
		return os.Rename(out, dir)
	})
}

// write writes the module into a folder.
func (m Module) write(ctx context.Context, g Go, dir string) error {
	path := m.Path
	if path == "" {
		path = "scratch"
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+path+"\n\ngo 1.26\n"), 0o600); err != nil {
		return err
	}
	for name, source := range m.Files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			return err
		}
	}
	if len(m.Require) == 0 {
		return nil
	}
	_, err := g.Run(ctx, Timeout, nil, append([]string{"get"}, m.Require...)...)
	return err
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Source is the folder of a module ("sigs.k8s.io/kind@v0.33.0") in the go command's module cache, which has it afterwards. work is for the go
// command's own files.
func Source(ctx context.Context, supervisor *proc.Supervisor, work, module string) (string, error) {
	g, err := New(supervisor, "go", work)
	if err != nil {
		return "", err
	}
	downloaded, err := g.Download(ctx, module, nil)
	return downloaded.Dir, err
}
