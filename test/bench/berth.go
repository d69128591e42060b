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

// usage is what the cluster's live processes use of the machine.
type usage struct {
	memory int64         // bytes: the sum of the proportional set sizes, in which what several processes share is counted once
	work   time.Duration // of processors: a number that says something on a busy machine too
}

// usage sums up by program: "kube-apiserver", "_etcd".
func (t berth) usage() (sum usage, programs map[string]usage, err error) {
	pids, err := t.processes()
	if err != nil {
		return sum, nil, err
	}
	programs = map[string]usage{}
	for _, pid := range pids {
		u, name, err := use(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return sum, nil, fmt.Errorf("measure process %d: %w", pid, err)
		}
		sum = usage{sum.memory + u.memory, sum.work + u.work}
		p := programs[name]
		programs[name] = usage{p.memory + u.memory, p.work + u.work}
	}
	return sum, programs, nil
}

// use is what one process uses, and the name of its program: of its entry, for one that is a program of several.
func use(pid int) (u usage, name string, err error) {
	if u.memory, err = proportionalSetSize(pid); err != nil {
		return u, "", err
	}
	if u.work, err = processorTime(pid); err != nil {
		return u, "", err
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return u, "", err
	}
	args := strings.Split(string(raw), "\x00")
	if len(args) > 1 && strings.HasPrefix(args[1], "_") {
		return u, args[1], nil
	}
	return u, filepath.Base(args[0]), nil
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
	return 0, errors.New("its smaps_rollup has no Pss")
}

// ticksPerSecond is the kernel's USER_HZ, in which /proc counts.
const ticksPerSecond = 100

// processorTime is how long a process has kept processors busy.
func processorTime(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, can have spaces in it. utime and stime are fields 14 and 15, and the first one after the name is 3.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read its processor time: %w", err)
		}
		ticks += n
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
