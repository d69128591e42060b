// Package lock lets one process at a time work on something that several share, and the others wait for it.
//
//	unlock, err := lock.Take(ctx, filepath.Join(dir, "v1.34.4.lock"), `release "v1.34.4"`, progress)
//	…
//	defer unlock()
package lock

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

	"github.com/seatrial/seatrial/sim/progress"
)

const (
	// Timeout is how long Take waits: longer than the longest work under a lock.
	Timeout  = 3 * time.Hour
	interval = 100 * time.Millisecond
)

// Take takes the lock that a file stands for, which the kernel frees when its process dies. The file has the process's number, for those who
// wait, and stays: removing it would let two processes lock two files of one name. what says what is worked on, as `release "v1.34.4"`; the
// error and those who wait say it.
func Take(ctx context.Context, path, what string, p *progress.Progress) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("lock %s: %w", what, err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", what, err)
	}
	if err := wait(ctx, file, what, p); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", what, err)
	}
	// The number is a courtesy: without it the lock holds all the same.
	_ = file.Truncate(0)
	_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return func() { file.Close() }, nil
}

func wait(ctx context.Context, file *os.File, what string, p *progress.Progress) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	defer p.Finish()
	started := time.Now()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		p.Update("waiting for process %s, which is getting %s: %s", holder(file), what, progress.Elapsed(started))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("process %s has it, after a wait of %s: %w", holder(file), progress.Elapsed(started), ctx.Err())
		}
	}
}

// holder is the number in the file, or "unknown" in the moment before it is written.
func holder(file *os.File) string {
	data := make([]byte, 20)
	n, _ := file.ReadAt(data, 0)
	if pid := strings.TrimSpace(string(data[:n])); pid != "" {
		return pid
	}
	return "unknown"
}
