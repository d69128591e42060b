package engine

import (
	"fmt"
	"os"
	"path/filepath"
)

// What the programs of a node were measured to hold of inotify instances once it is Ready (Kubernetes v1.34, Debian 12): a control plane's kubelet and kube-controller-manager 7 each,
// kube-apiserver 6, systemd 4, containerd and kube-proxy 1 each; a worker has no API server and no controller manager.
const (
	controlPlaneInstances = 26
	workerInstances       = 13
)

// InotifyError says that a cluster's programs would be refused inotify instances. They say "too many open files" then, and never become ready.
// https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files
type InotifyError struct{ Limit, Used, Needed uint64 }

func (e *InotifyError) Error() string {
	return fmt.Sprintf("inotify instances: the cluster's nodes take about %d, this machine allows a user %d, and %d are in use: sysctl fs.inotify.max_user_instances=%d",
		e.Needed, e.Limit, e.Used, max(wantInstances, 2*(e.Used+e.Needed)))
}

// RoomForNodes refuses a cluster for which there are too few inotify instances left. It is for root only: nobody else can see what is in use.
func RoomForNodes(controlPlanes, workers int) error {
	limit, err := field("/proc/sys/fs/inotify/max_user_instances", "", 10)
	if err != nil {
		return err
	}
	used, err := inotifyInUse("/proc")
	if err != nil {
		return err
	}
	return room(limit, used, controlPlanes, workers)
}

func room(limit, used uint64, controlPlanes, workers int) error {
	needed := uint64(controlPlanes)*controlPlaneInstances + uint64(workers)*workerInstances
	if used+needed > limit {
		return &InotifyError{Limit: limit, Used: used, Needed: needed}
	}
	return nil
}

// inotifyInUse counts the instances that root's processes hold. What ends while it is looked at counts for nothing.
func inotifyInUse(proc string) (uint64, error) {
	files, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return 0, err
	}
	var used uint64
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil && target == "anon_inode:inotify" {
			used++
		}
	}
	return used, nil
}
