// Package release is the store of Kubernetes releases: folders of binaries of any version, had once and then kept.
//
// An embedded cluster runs real kube-apiservers, of the version that a scenario names and, for an upgrade, of two
// versions. seatrial is linked to none of them. [Store.Get] answers with a folder, and has the binaries from the first of
//
//  1. the cache, a folder of the user's;
//  2. the official download, checked against the SHA-256 published beside it;
//  3. a build from the module k8s.io/kubernetes with the go command, when the download host can't be reached at all.
//
// All three give the same layout. What is in the cache is complete: a component is renamed to its name when it is whole
// and on the disk, and believed when the manifest, written after it, has its SHA-256. One process at a time works on a
// version, under a lock; the others wait for it and find its work done.
//
//	store, err := release.NewStore(release.Options{Supervisor: supervisor, Progress: os.Stderr})
//	…
//	v134, err := store.Get(ctx, "v1.34", nil)
//	…
//	apiserver := v134.Components["kube-apiserver"].Path
package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/semver"

	"github.com/seatrial/seatrial/sim/lock"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/progress"
)

// DefaultBaseURL is where the Kubernetes project publishes its binaries (https://kubernetes.io/releases/download/).
const DefaultBaseURL = "https://dl.k8s.io"

// DefaultComponents is what a control plane needs beside etcd. Get has them when it is not told which.
var DefaultComponents = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}

// KnownComponents is all that a store can have: each is a download and a main package of the module.
var KnownComponents = []string{
	"kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubeadm", "kubectl", "kubelet",
}

// Source says where a binary came from.
type Source string

const (
	// Download is the official download.
	Download Source = "download"
	// Build is a build from the module k8s.io/kubernetes.
	Build Source = "build"
)

// Release is a version with the components that were asked for, or, from List, that are in the cache.
type Release struct {
	// Version is exact: "v1.34.4".
	Version string `json:"version"`
	// Dir is the absolute path of the folder that holds the binaries, each under its component's name.
	Dir string `json:"dir"`
	// Components are the binaries, by name: "kube-apiserver".
	Components map[string]File `json:"components"`
}

// File is the binary of one component.
type File struct {
	// Path is absolute.
	Path string `json:"path"`
	// SHA256 is the hash of the file, in hex.
	SHA256 string `json:"sha256"`
	// Source says where it came from, when it came into the cache.
	Source Source `json:"source"`
}

// InputError is what the caller asked for wrongly: a version that is none, a version or a component that does not
// exist. A command exits with its usage status.
type InputError struct {
	// Reason is the whole message; it says what would have been right.
	Reason string
}

func (e *InputError) Error() string { return e.Reason }

// Options are what a store needs.
type Options struct {
	// Dir is the folder of the cache. Empty means seatrial/releases in the user's cache folder.
	Dir string
	// Supervisor gives the supervisor of the go command and of temporary folders. Only a Get that does not find
	// everything in the cache calls it.
	Supervisor func(context.Context) (*proc.Supervisor, error)
	// Progress is where work that takes long says how far it is. Nil discards.
	Progress io.Writer
	// BaseURL is the download host. Empty means DefaultBaseURL.
	BaseURL string
	// GoCommand is the go command, a name on PATH or a path. Empty means "go".
	GoCommand string
}

// Store is the store of releases. Its methods may be called from several goroutines and from several processes
// on one folder.
type Store struct {
	dir        string // <cache>/linux-amd64: a home folder can be shared between machines
	supervisor func(context.Context) (*proc.Supervisor, error)
	progress   *progress.Progress
	baseURL    string
	goCommand  string
	client     *http.Client
	freeSpace  func(path string) (space, error)

	mu          sync.Mutex
	unreachable error // why the download host is not asked again
}

// NewStore is a store on a folder, which need not be there yet.
func NewStore(o Options) (*Store, error) {
	if o.Dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the folder of the release store: %w", err)
		}
		o.Dir = filepath.Join(cache, "seatrial", "releases")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the folder of the release store: %w", err)
	}
	if o.BaseURL == "" {
		o.BaseURL = DefaultBaseURL
	}
	if o.GoCommand == "" {
		o.GoCommand = "go"
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return &Store{
		dir:        filepath.Join(dir, "linux-"+runtime.GOARCH),
		supervisor: o.Supervisor,
		progress:   progress.New(o.Progress),
		baseURL:    strings.TrimSuffix(o.BaseURL, "/"),
		goCommand:  o.GoCommand,
		client:     newClient(),
		freeSpace:  freeSpace,
	}, nil
}

// Get is the release of a version, with the components that are named; no names mean DefaultComponents.
//
// The version is exact ("v1.34.4", "v1.35.0-rc.1") or a minor ("v1.34"), which means the newest patch of it in the cache, so
// that a rehearsal is the same tomorrow and needs no network, or else the newest that a source has.
//
// A version or a component that does not exist is an [*InputError]. A download whose SHA-256 is not the published
// one is thrown away and an error: it is never replaced by a build.
func (s *Store) Get(ctx context.Context, version string, components []string) (Release, error) {
	r, err := s.get(ctx, version, components)
	if err != nil {
		return Release{}, fmt.Errorf("get release %q: %w", version, err)
	}
	return r, nil
}

func (s *Store) get(ctx context.Context, version string, components []string) (Release, error) {
	components, err := checkComponents(components)
	if err != nil {
		return Release{}, err
	}
	if version, err = s.resolve(ctx, version); err != nil {
		return Release{}, err
	}
	f := folder(filepath.Join(s.dir, version))
	if m := f.manifest(); m.unchanged(f, components) {
		return f.release(m, components), nil
	}
	unlock, err := s.lock(ctx, version)
	if err != nil {
		return Release{}, err
	}
	defer unlock()
	return s.complete(ctx, f, version, components)
}

func (s *Store) lock(ctx context.Context, version string) (unlock func(), err error) {
	return lock.Take(ctx, filepath.Join(s.dir, version+".lock"), fmt.Sprintf("release %q", version), s.progress)
}

// complete brings into the folder what is missing. The caller holds the lock.
func (s *Store) complete(ctx context.Context, f folder, version string, components []string) (Release, error) {
	if err := os.MkdirAll(string(f), 0o755); err != nil {
		return Release{}, fmt.Errorf("make the folder of the release: %w", err)
	}
	if err := f.removeLeftovers(); err != nil {
		return Release{}, err
	}
	m := f.manifest()
	missing, err := s.missing(ctx, f, m, components)
	if err != nil {
		return Release{}, err
	}
	if len(missing) > 0 {
		if err := s.obtain(ctx, task{folder: f, manifest: m, version: version, components: missing}); err != nil {
			_ = os.Remove(string(f)) // of a version that does not exist: it succeeds only when the folder is empty
			return Release{}, err
		}
	}
	return f.release(m, components), nil
}

// missing are the components that the folder lacks. Files whose size or time of change is not that of the manifest
// are hashed, and thrown away when they are not what they were.
func (s *Store) missing(ctx context.Context, f folder, m manifest, components []string) ([]string, error) {
	var missing []string
	for _, c := range components {
		if m.unchanged(f, []string{c}) {
			continue
		}
		entry, known := m[c]
		ok := false
		if known {
			var err error
			if ok, err = f.rehash(m, c); err != nil {
				return nil, err
			}
		}
		if !ok {
			if known {
				s.progress.Say("the cached %s is gone or not what was stored (SHA-256 %s): having it again", f.path(c), entry.SHA256)
			}
			missing = append(missing, c)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// task is what one process, holding the lock, brings into a folder.
type task struct {
	folder     folder
	manifest   manifest
	version    string
	components []string
	// work is a folder inside folder, for what is not finished.
	work       string
	supervisor *proc.Supervisor
}

// obtain downloads the components of a task or, when the download host can't be reached, builds them.
func (s *Store) obtain(ctx context.Context, t task) (err error) {
	if t.supervisor, err = s.supervisor(ctx); err != nil {
		return err
	}
	// In the same folder, so that a rename suffices; registered, so that it goes when we are killed.
	if t.work, err = t.supervisor.TempDir(string(t.folder), workPattern); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.supervisor.RemoveDir(t.work)) }()
	err = s.download(ctx, t)
	if unreachable := (*unreachableError)(nil); errors.As(err, &unreachable) {
		err = s.build(ctx, t)
	}
	return err
}

// List is the releases in the cache, newest first. What was not finished is not among them. It does not read the binaries:
// only Get finds out that one is corrupt.
func (s *Store) List() ([]Release, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	var releases []Release
	for _, e := range entries {
		if !e.IsDir() || !isExact(e.Name()) {
			continue
		}
		f := folder(filepath.Join(s.dir, e.Name()))
		m := f.manifest()
		var there []string
		for _, c := range m.components() {
			if _, ok := m.stat(f, c); ok {
				there = append(there, c)
			}
		}
		if len(there) > 0 {
			releases = append(releases, f.release(m, there))
		}
	}
	slices.SortFunc(releases, func(a, b Release) int { return semver.Compare(b.Version, a.Version) })
	return releases, nil
}

// checkComponents sorts the names, drops repetitions, and puts the default for none.
func checkComponents(names []string) ([]string, error) {
	if len(names) == 0 {
		return DefaultComponents, nil
	}
	var unknown []string
	for _, name := range names {
		if !slices.Contains(KnownComponents, name) {
			unknown = append(unknown, fmt.Sprintf("%q", name))
		}
	}
	if len(unknown) > 0 {
		return nil, &InputError{Reason: fmt.Sprintf("unknown component %s; known are %s",
			strings.Join(unknown, ", "), strings.Join(KnownComponents, ", "))}
	}
	return slices.Compact(slices.Sorted(slices.Values(names))), nil
}
