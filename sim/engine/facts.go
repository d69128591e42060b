package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Cgroups is how a machine mounts its control groups.
type Cgroups string

// The ways in which control groups are mounted.
const (
	Unified Cgroups = "v2"     // version 2 alone
	Hybrid  Cgroups = "hybrid" // the controllers of version 1, and an empty version 2 beside them
	Legacy  Cgroups = "v1"     // version 1 alone
)

// Limits are what a process of ours may raise its own limits to.
type Limits struct {
	OpenFiles uint64 // hard limit of open files
	Processes uint64 // hard limit of processes
	PIDs      uint64 // /proc/sys/kernel/pid_max
}

// Facts are what a machine has for container nodes.
type Facts struct {
	Engine    Engine
	EngineErr error // why there is none
	// Runc is the path of runc, and "" when it is not installed.
	Runc string
	// Bootstrap is the program that makes the base of a node image, mmdebstrap or debootstrap, and "" when neither is installed.
	Bootstrap string
	Root      bool
	Cgroups   Cgroups
	// Capabilities is the bounding set of this process, a bit a capability.
	Capabilities uint64
	Limits       Limits
	// InotifyWatches and InotifyInstances are what one user may have.
	InotifyWatches, InotifyInstances uint64
	// Modules tells that /lib/modules is there.
	Modules bool
	// Storage is where the engine keeps its images, or would; StorageFree is what is free there, in bytes.
	Storage     string
	StorageFree uint64
	// Memory is what programs could have now, in bytes.
	Memory uint64
	// NodeImages are the images of kind nodes that the engine has.
	NodeImages []string
	// Unread are the facts that could not be had. What depends on them is unknown.
	Unread []error
}

// Look finds out what the machine has. engine is the engine to look for, or "" for any. It changes nothing.
func Look(ctx context.Context, engine string) Facts {
	var f Facts
	f.Engine, f.EngineErr = Find(ctx, engine)
	f.Runc, _ = exec.LookPath("runc")
	for _, name := range []string{"mmdebstrap", "debootstrap"} {
		if path, err := exec.LookPath(name); err == nil && f.Bootstrap == "" {
			f.Bootstrap = path
		}
	}
	f.Root = os.Geteuid() == 0
	f.Modules = isDir("/lib/modules")
	read := func(err error) {
		if err != nil {
			f.Unread = append(f.Unread, err)
		}
	}
	var err error
	f.Cgroups, err = cgroups()
	read(err)
	f.Capabilities, err = field("/proc/self/status", "CapBnd:", 16)
	read(err)
	f.Memory, err = field("/proc/meminfo", "MemAvailable:", 10)
	f.Memory <<= 10 // kB
	read(err)
	for path, to := range map[string]*uint64{
		"/proc/sys/kernel/pid_max":                &f.Limits.PIDs,
		"/proc/sys/fs/inotify/max_user_watches":   &f.InotifyWatches,
		"/proc/sys/fs/inotify/max_user_instances": &f.InotifyInstances,
	} {
		*to, err = field(path, "", 10)
		read(err)
	}
	for resource, to := range map[int]*uint64{unix.RLIMIT_NOFILE: &f.Limits.OpenFiles, unix.RLIMIT_NPROC: &f.Limits.Processes} {
		var limit unix.Rlimit
		read(unix.Getrlimit(resource, &limit))
		*to = limit.Max
	}
	f.Storage, f.StorageFree, err = storage(f.Engine.Name, f.Root)
	read(err)
	return f
}

// NodeRepositories are where node images come from: ours, and kind's own.
var NodeRepositories = []string{"seatrial.dev/node", "docker.io/kindest/node", "kindest/node"}

// LookForImages looks which node images the engine has, when there is one.
func (f *Facts) LookForImages(ctx context.Context) {
	if f.EngineErr != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	args := []string{"image", "ls", "--format", "{{.Repository}}:{{.Tag}}"}
	for _, repository := range NodeRepositories {
		args = append(args, "--filter", "reference="+repository)
	}
	out, err := exec.CommandContext(ctx, f.Engine.Path, args...).Output()
	if err != nil {
		f.Unread = append(f.Unread, fmt.Errorf("ask %s for its images: %w", f.Engine.Name, err))
		return
	}
	f.NodeImages = slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(out)))))
}

// cgroups looks what is mounted at /sys/fs/cgroup, as systemd describes it (https://systemd.io/CGROUP_DELEGATION/, "Three different tree setups").
func cgroups() (Cgroups, error) {
	const root = "/sys/fs/cgroup"
	version2 := func(path string) (bool, error) {
		var fs unix.Statfs_t
		err := unix.Statfs(path, &fs)
		return err == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC, err
	}
	alone, err := version2(root)
	switch {
	case err != nil:
		return "", fmt.Errorf("look at %s: %w", root, err)
	case alone:
		return Unified, nil
	}
	if beside, _ := version2(filepath.Join(root, "unified")); beside {
		return Hybrid, nil
	}
	if isDir(filepath.Join(root, "memory")) {
		return Legacy, nil
	}
	return "", fmt.Errorf("look at %s: no control groups are mounted there", root)
}

// field reads the number that follows a label at the beginning of a line; without a label, the number that the file begins with.
func field(path, label string, base int) (uint64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		rest, ok := strings.CutPrefix(line, label)
		if words := strings.Fields(rest); ok && len(words) > 0 {
			n, err := strconv.ParseUint(words[0], base, 64)
			if err != nil {
				err = fmt.Errorf("read %s: %w", path, err)
			}
			return n, err
		}
	}
	return 0, fmt.Errorf("read %s: no number after %q", path, label)
}

// storage is where an engine keeps images by default, and what is free there. A folder that is not there yet is asked about through the one above it.
func storage(engine string, root bool) (string, uint64, error) {
	path := "/var/lib/containers/storage"
	switch {
	case engine == Docker:
		path = "/var/lib/docker"
	case !root:
		home, err := os.UserHomeDir()
		if err != nil {
			return "", 0, err
		}
		path = filepath.Join(home, ".local/share/containers/storage")
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		var fs unix.Statfs_t
		err := unix.Statfs(dir, &fs)
		if err == nil {
			return path, fs.Bavail * uint64(fs.Bsize), nil
		}
		if !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			return path, 0, fmt.Errorf("look for free space at %s: %w", dir, err)
		}
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
