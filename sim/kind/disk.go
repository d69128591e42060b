package kind

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"github.com/seatrial/seatrial/sim/proc"
)

// The capability Disks: a file with a file system for each node, made before the nodes are, and removed with them.

const (
	// diskSize is how much a node's own disk holds, in bytes: more than etcd and a kubelet take in a rehearsal. Of this machine's disk it takes what is written.
	diskSize = 1 << 30
	// filler is what fills a node's disk.
	filler = "/var/lib/kubelet/seatrial-filler"
	// full is how little is free on a full disk, in bytes: less than any file of etcd or a kubelet needs to grow.
	full = 64 << 10
)

// onDisk is what a node has on its own disk, by the folders on the disk.
var onDisk = map[string]string{"etcd": "/var/lib/etcd", "kubelet": "/var/lib/kubelet"}

// kubeletDisk has kubelets look at their disks, as they do by default and kind's do not. Images stay on the machine's disk, which they leave alone. Five minutes, the
// default, is long to wait for a taint that goes.
//
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
const kubeletDisk = `kind: KubeletConfiguration
evictionHard: {nodefs.available: 10%, nodefs.inodesFree: 5%, imagefs.available: 0%}
evictionPressureTransitionPeriod: 30s
`

// disk is where the disk of a machine is mounted.
func (l *claim) disk(m machine) string { return filepath.Join(l.disks(), m.node) }

// disks is the folder of the nodes' own disks, and what is mounted below it is of the cluster.
func (l *claim) disks() string { return strings.TrimSuffix(l.path, ".json") + ".disks" }

// makeDisks makes a disk for each node, a file with a file system, and gives it to the nodes of kind's configuration, which are in the order of the machines.
func (c *Cluster) makeDisks(ctx context.Context, config *v1alpha4.Cluster) error {
	config.KubeadmConfigPatches = append(config.KubeadmConfigPatches, kubeletDisk)
	for i, m := range c.machines {
		if err := c.makeDisk(ctx, m); err != nil {
			return fmt.Errorf("make a disk for node %q, which takes root and loop devices: %w", m.node, err)
		}
		for folder, path := range onDisk {
			source := filepath.Join(c.claimed.disk(m), folder)
			if err := os.Mkdir(source, 0o700); err != nil {
				return err
			}
			config.Nodes[i].ExtraMounts = append(config.Nodes[i].ExtraMounts, v1alpha4.Mount{HostPath: source, ContainerPath: path})
		}
	}
	return nil
}

func (c *Cluster) makeDisk(ctx context.Context, m machine) error {
	place := c.claimed.disk(m)
	if err := os.MkdirAll(place, 0o700); err != nil {
		return err
	}
	image := place + ".img"
	file, err := os.OpenFile(image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(diskSize), file.Close()); err != nil {
		return err
	}
	// No block is kept back for root: kubelets and etcd are.
	if err := c.here(ctx, "mkfs.ext4", "-q", "-m", "0", "-E", "nodiscard", image); err != nil {
		return err
	}
	return c.here(ctx, "mount", "-o", "loop", image, place)
}

// here runs a command of the system's on this machine.
func (c *Cluster) here(ctx context.Context, name string, args ...string) error {
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		path, err = exec.LookPath("/usr/sbin/" + name) // which users' PATH need not have
	}
	if err != nil {
		return err
	}
	return c.options.Supervisor.Run(ctx, proc.Command{Name: name, Path: path, Args: args}, 0)
}

// mounts are the nodes' own disks that are mounted.
func (l *claim) mounts() ([]string, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(table)) {
		// The fifth field is where, with what would end it in octal: proc_pid_mountinfo(5).
		if fields := strings.Fields(line); len(fields) > 4 {
			place, err := strconv.Unquote(`"` + strings.ReplaceAll(fields[4], `"`, `\"`) + `"`)
			if err == nil && filepath.Dir(place) == l.disks() {
				found = append(found, place)
			}
		}
	}
	return found, nil
}

// unmount takes a disk out of the machine; its loop device goes with it.
func unmount(place string) error {
	if err := unix.Unmount(place, 0); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL) { // EINVAL: it is no mount (any more)
		return fmt.Errorf("unmount %s: %w", place, err)
	}
	return nil
}

// FillDisk fills a node's own disk to the last block, and looks whether it is full.
func (c *Cluster) FillDisk(ctx context.Context, node string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	free, err := c.free(m)
	if err != nil {
		return fmt.Errorf("fill the disk of node %q: %w", node, err)
	}
	// It takes all that there is and then says that this was not enough: keeping account of it takes some too.
	_, failed := c.run(ctx, m, nil, "fallocate", "--length", strconv.FormatUint(free, 10), filler)
	return c.expectDisk(m, "fill", failed, func(free uint64) bool { return free < full })
}

// FreeDisk removes what FillDisk has filled a disk with.
func (c *Cluster) FreeDisk(ctx context.Context, node string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	_, failed := c.run(ctx, m, nil, "rm", "--force", filler)
	return c.expectDisk(m, "free", failed, func(free uint64) bool { return free >= full })
}

// expectDisk looks what is free on a node's disk now.
func (c *Cluster) expectDisk(m machine, verb string, failed error, want func(free uint64) bool) error {
	free, err := c.free(m)
	switch {
	case err != nil:
		return fmt.Errorf("%s the disk of node %q: %w", verb, m.node, err)
	case !want(free):
		return errors.Join(fmt.Errorf("%s the disk of node %q: %d bytes are free", verb, m.node, free), failed)
	}
	return nil
}

// free is how many bytes are free on a node's own disk.
func (c *Cluster) free(m machine) (uint64, error) {
	if !c.spec.Disks {
		return 0, errors.New("the cluster was made without disks of its own for its nodes")
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(c.claimed.disk(m), &stat); err != nil {
		return 0, fmt.Errorf("look at its disk: %w", err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil
}
