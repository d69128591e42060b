package release

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockTimeout is longer than the longest work under a lock.
	lockTimeout  = buildTimeout + time.Hour
	lockInterval = 100 * time.Millisecond
)

// lock takes the lock of a version, which the kernel frees when its process dies. The file has the process's number,
// for those who wait, and stays: removing it would let two processes lock two files of one name.
func (s *Store) lock(ctx context.Context, version string) (unlock func(), err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("lock release %q: %w", version, err)
	}
	file, err := os.OpenFile(filepath.Join(s.dir, version+".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock release %q: %w", version, err)
	}
	if err := s.waitForLock(ctx, file, version); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock release %q: %w", version, err)
	}
	// The number is a courtesy: without it the lock holds all the same.
	_ = file.Truncate(0)
	_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return func() { file.Close() }, nil
}

func (s *Store) waitForLock(ctx context.Context, file *os.File, version string) error {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	tick := time.NewTicker(lockInterval)
	defer tick.Stop()
	defer s.progress.finish()
	started := time.Now()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		s.progress.update("waiting for process %s, which is getting %s: %s", lockHolder(file), version, elapsed(started))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("process %s has it, after a wait of %s: %w", lockHolder(file), elapsed(started), ctx.Err())
		}
	}
}

// lockHolder is the number in the file, or "unknown" in the moment before it is written.
func lockHolder(file *os.File) string {
	data := make([]byte, 20)
	n, _ := file.ReadAt(data, 0)
	if pid := strings.TrimSpace(string(data[:n])); pid != "" {
		return pid
	}
	return "unknown"
}
