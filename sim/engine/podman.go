package engine

import "fmt"

// ContainersConf is a configuration for podman (containers.conf(5)), for a file of ours that the variable CONTAINERS_CONF names: nothing of the user's is
// touched. Containers get the limits that this process has, because without CAP_SYS_RESOURCE none can be higher; they have no limit of processes
// of their own; and runc runs them, because crun refuses hybrid control groups.
func ContainersConf(l Limits) string {
	processes := min(l.Processes, l.PIDs)
	return fmt.Sprintf(`[containers]
default_ulimits = ["nofile=%[1]d:%[1]d", "nproc=%[2]d:%[2]d"]
pids_limit = 0

[engine]
runtime = "runc"
`, l.OpenFiles, processes)
}
