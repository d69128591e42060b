package engine

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// State is what a check came to.
type State string

// The states of a check.
const (
	Fine    State = "fine"
	Note    State = "note"    // it works, and there is something to know
	Missing State = "missing" // container nodes won't work until something is done
	Unknown State = "unknown" // it could not be looked at
)

// Check is one thing that container nodes depend on.
type Check struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Found is what there is.
	Found string `json:"found"`
	// Do is what to do about it; "" when it is fine.
	Do string `json:"do,omitempty"`
}

// What container nodes need. The memory is what kubeadm's nodes were measured to use (a control plane 1.1 GB, a worker 0.27 GB), the storage
// what one node image and its base take, and the inotify limits are kind's
// (https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files), which are for large clusters.
const (
	needStorage   = 10 << 30
	needMemory    = 2 << 30
	wantWatches   = 524288
	wantInstances = 512
	needInstances = 64 // a control plane and two workers take 52
	needOpenFiles = 4096
)

// Examine judges what was found, in the order in which it has to be put right.
func Examine(f Facts) []Check {
	checks := []Check{
		engineCheck(f), runtimeCheck(f), capabilityCheck(f), cgroupCheck(f), openFilesCheck(f), inotifyCheck(f), modulesCheck(f),
		roomCheck("storage", f.Storage, f.StorageFree, needStorage, "free some there"),
		roomCheck("memory", "available", f.Memory, needMemory, "a control plane takes 1.1 GB and a worker 0.3 GB: end something, or use the embedded provider"),
		imagesCheck(f), bootstrapCheck(f),
	}
	for _, err := range f.Unread {
		checks = append(checks, Check{"machine", Unknown, err.Error(), "run where /proc and /sys can be read"})
	}
	return checks
}

// Worst is the worst state of all: what is missing outweighs what is unknown, and that a note.
func Worst(checks []Check) State {
	worst := 0
	order := []State{Fine, Note, Unknown, Missing}
	for _, c := range checks {
		worst = max(worst, slices.Index(order, c.State))
	}
	return order[worst]
}

func engineCheck(f Facts) Check {
	if f.EngineErr != nil {
		return Check{"engine", Missing, f.EngineErr.Error(), "apt-get install podman runc conmon netavark aardvark-dns; or start docker"}
	}
	return Check{"engine", Fine, fmt.Sprintf("%s %s (%s)", f.Engine.Name, f.Engine.Version, f.Engine.Path), ""}
}

// runtimeCheck: podman's default runtime, crun, refuses control groups of version 1 that have an empty version 2 beside them.
func runtimeCheck(f Facts) Check {
	switch {
	case f.Engine.Name == Docker:
		return Check{"runtime", Fine, "the engine's own", ""}
	case f.Runc != "":
		return Check{"runtime", Fine, "runc (" + f.Runc + ")", ""}
	case f.Cgroups == Unified:
		return Check{"runtime", Note, "podman's default; seatrial was tested with runc", "apt-get install runc"}
	}
	return Check{"runtime", Missing, "no runc, and crun refuses hybrid control groups", "apt-get install runc"}
}

// capabilityCheck: docker gives privileged containers every capability and fails when it lacks one itself; podman gives what it has, with limits that
// must not be over its own.
func capabilityCheck(f Facts) Check {
	has := func(capability uint) bool { return f.Capabilities&(1<<capability) != 0 }
	switch {
	case f.Capabilities == 0:
		return Check{"capabilities", Unknown, "not known", "run where /proc/self/status can be read"}
	case !f.Root:
		return Check{"capabilities", Note, "not root: a rootless engine needs control groups v2 and delegated controllers", "see https://kind.sigs.k8s.io/docs/user/rootless/, or run as root"}
	case !has(unix.CAP_SYS_ADMIN):
		return Check{"capabilities", Missing, "CAP_SYS_ADMIN is missing: nodes can't mount", "run in a privileged container or on a machine"}
	case !has(unix.CAP_SYS_RESOURCE) && f.Engine.Name == Docker:
		return Check{"capabilities", Missing, "CAP_SYS_RESOURCE is missing: docker can't start privileged containers", "apt-get install podman runc, and use --engine podman"}
	case !has(unix.CAP_SYS_RESOURCE):
		return Check{"capabilities", Note, "CAP_SYS_RESOURCE is missing: nodes get this process's own limits", ""}
	}
	return Check{"capabilities", Fine, "all that nodes need", ""}
}

// cgroupCheck: Kubernetes refuses version 1 from 1.35 on (https://kubernetes.io/docs/concepts/architecture/cgroups/).
func cgroupCheck(f Facts) Check {
	switch f.Cgroups {
	case Unified:
		return Check{"cgroups", Fine, "v2", ""}
	case Hybrid, Legacy:
		return Check{"cgroups", Note, string(f.Cgroups) + ": Kubernetes 1.35 and later take it only with failCgroupV1: false in the kubelet's configuration", ""}
	}
	return Check{"cgroups", Unknown, "not known", "mount control groups at /sys/fs/cgroup"}
}

func openFilesCheck(f Facts) Check {
	found := fmt.Sprintf("hard limit %d", f.Limits.OpenFiles)
	if f.Limits.OpenFiles < needOpenFiles {
		return Check{"open files", Missing, found, fmt.Sprintf("raise it to %d or more: ulimit -Hn", needOpenFiles)}
	}
	return Check{"open files", Fine, found, ""}
}

func inotifyCheck(f Facts) Check {
	found := fmt.Sprintf("%d watches, %d instances a user", f.InotifyWatches, f.InotifyInstances)
	do := fmt.Sprintf("sysctl fs.inotify.max_user_watches=%d fs.inotify.max_user_instances=%d", wantWatches, wantInstances)
	switch {
	case f.InotifyInstances < needInstances:
		return Check{"inotify", Missing, found, do}
	case f.InotifyInstances < wantInstances || f.InotifyWatches < wantWatches:
		return Check{"inotify", Note, found + ": enough for a few nodes", do}
	}
	return Check{"inotify", Fine, found, ""}
}

func modulesCheck(f Facts) Check {
	if !f.Modules {
		return Check{"modules", Missing, "/lib/modules is not there, and kind mounts it into every node", "mkdir -p /lib/modules"}
	}
	return Check{"modules", Fine, "/lib/modules", ""}
}

func roomCheck(name, where string, free, need uint64, do string) Check {
	found := fmt.Sprintf("%.1f GiB %s", float64(free)/(1<<30), where)
	if strings.HasPrefix(where, "/") {
		found = fmt.Sprintf("%.1f GiB free at %s", float64(free)/(1<<30), where)
	}
	if free < need {
		return Check{name, Missing, found, fmt.Sprintf("%d GiB are needed: %s", need>>30, do)}
	}
	return Check{name, Fine, found, ""}
}

func imagesCheck(f Facts) Check {
	if len(f.NodeImages) == 0 {
		return Check{"node images", Note, "none: the first run pulls one, or builds it, which takes minutes", "seatrial image build v1.34, to have it beforehand"}
	}
	return Check{"node images", Fine, strings.Join(f.NodeImages, ", "), ""}
}

func bootstrapCheck(f Facts) Check {
	if f.Bootstrap == "" {
		return Check{"image build", Note, "neither mmdebstrap nor debootstrap: node images can be pulled or loaded, but not built", "apt-get install mmdebstrap"}
	}
	return Check{"image build", Fine, f.Bootstrap, ""}
}
