package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// berth is the temporary folder of one cluster. Whatever is started for the cluster inherits TMPDIR, whose value is the
// folder: by that its processes are known, whoever started them.
type berth string

// newBerth makes a berth that is gone when we are.
func (b *bench) newBerth() (berth, error) {
	dir, err := b.supervisor.TempDir("", "seatrial-bench-*")
	return berth(dir), err
}

// environment is that of the cluster's processes with a search path for programs, and what comes on top.
func (t berth) environment(path string, more ...string) []string {
	return append([]string{"TMPDIR=" + string(t), "HOME=" + string(t), "PATH=" + path}, more...)
}

// processes lists the cluster's live processes.
func (t berth) processes() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	mark := []byte("TMPDIR=" + string(t) + "\x00")
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // not a process
		}
		environ, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && bytes.Contains(environ, mark) { // others' can't be read, and a zombie has none
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// memory is the sum of the proportional set sizes of the cluster's processes, in bytes: what several of them share is counted once.
func (t berth) memory() (int64, error) {
	pids, err := t.processes()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range pids {
		pss, err := proportionalSetSize(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return 0, err
		}
		sum += pss
	}
	return sum, nil
}

func proportionalSetSize(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("measure process %d: smaps_rollup has no Pss", pid)
}

// ticksPerSecond is the kernel's USER_HZ, in which /proc counts.
const ticksPerSecond = 100

// work is the processor time that the cluster's live processes have used: a number that says something on a busy machine too.
func (t berth) work() (time.Duration, error) {
	pids, err := t.processes()
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, pid := range pids {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		// The name, in parentheses, can have spaces in it. utime and stime are fields 14 and 15, and the first one after the name is 3.
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		for _, field := range fields[11:13] {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read the processor time of process %d: %w", pid, err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// leaveTimeout is how long processes may take to end that were told to.
const leaveTimeout = 15 * time.Second

// leave waits until no process is left and removes the folder. What does not end is killed, and an error.
func (b *bench) leave(ctx context.Context, t berth) error {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	err := poll(ctx, "the cluster's processes are gone", func(context.Context) error {
		pids, err := t.processes()
		if err == nil && len(pids) > 0 {
			err = fmt.Errorf("processes %v", pids)
		}
		return err
	})
	if err != nil {
		pids, listErr := t.processes()
		err = errors.Join(err, listErr)
		for _, pid := range pids {
			err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	return errors.Join(err, b.supervisor.RemoveDir(string(t)))
}
