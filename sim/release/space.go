package release

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// What work needs on the disk, in bytes, rounded up from what v1.34 took.
const (
	downloadSpace    = 500 << 20
	buildCacheSpace  = 3 << 30
	moduleCacheSpace = 1 << 30
	buildWorkSpace   = 2 << 30
)

// space is what is free, in bytes, on the file system of a path, and which file system that is.
type space struct {
	free   uint64
	device uint64
}

// need is the space that a folder, there or not yet, must have.
type need struct {
	dir   string
	bytes uint64
}

// checkSpace looks before the work whether the disk has room for it: an error at once is better than one after ten minutes.
// Folders on one file system share what it has.
func (s *Store) checkSpace(needs ...need) error {
	type filesystem struct {
		dirs   []string
		free   uint64
		needed uint64
	}
	var order []uint64
	found := map[uint64]*filesystem{}
	for _, n := range needs {
		sp, err := s.freeSpace(n.dir)
		if err != nil {
			return fmt.Errorf("look for free space: %w", err)
		}
		if found[sp.device] == nil {
			found[sp.device] = &filesystem{free: sp.free}
			order = append(order, sp.device)
		}
		fs := found[sp.device]
		fs.needed += n.bytes
		if !slices.Contains(fs.dirs, n.dir) {
			fs.dirs = append(fs.dirs, n.dir)
		}
	}
	var errs []error
	for _, device := range order {
		if fs := found[device]; fs.free < fs.needed {
			errs = append(errs, fmt.Errorf("not enough space for %s: %s needed, %s free",
				strings.Join(fs.dirs, ", "), byteCount(fs.needed), byteCount(fs.free)))
		}
	}
	return errors.Join(errs...)
}

// freeSpace asks the kernel about a folder, or about the nearest one above it that is there.
func freeSpace(path string) (space, error) {
	for {
		var fs unix.Statfs_t
		var st unix.Stat_t
		err := errors.Join(unix.Statfs(path, &fs), unix.Stat(path, &st))
		if err == nil {
			return space{free: fs.Bavail * uint64(fs.Bsize), device: st.Dev}, nil
		}
		parent := filepath.Dir(path)
		if !errors.Is(err, os.ErrNotExist) || parent == path {
			return space{}, fmt.Errorf("%s: %w", path, err)
		}
		path = parent
	}
}

// byteCount is a number of bytes for people: "102.4 MB".
func byteCount(n uint64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
