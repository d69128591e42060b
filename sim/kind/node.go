package kind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/proc"
)

// run executes a command on a node, as its argv is, and has it recorded. It returns what the command wrote to stdout.
func (c *Cluster) run(ctx context.Context, m machine, stdin io.Reader, argv ...string) (string, error) {
	args := []string{"exec"}
	if stdin != nil {
		args = append(args, "--interactive")
	}
	var stdout strings.Builder
	var mu sync.Mutex
	var stderr []byte
	began := time.Now()
	err := c.engine.Do(ctx, engine.Command{
		Args: append(append(args, m.container), argv...), Stdin: stdin, Stdout: &stdout,
		OnLine: func(line string) {
			mu.Lock()
			defer mu.Unlock()
			stderr = append(append(stderr, line...), '\n')
		},
	})
	if c.spec.OnCommand != nil {
		c.spec.OnCommand(cluster.Command{
			Node: m.node, Argv: argv, Began: began, Took: time.Since(began), Stdout: end(stdout.String()), Stderr: end(string(stderr)), Err: err,
		})
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("%s on node %q: %w", argv[0], m.node, err)
	}
	return stdout.String(), nil
}

// end is the end of a text, at most [cluster.OutputLimit] bytes.
func end(text string) string {
	return text[max(0, len(text)-cluster.OutputLimit):]
}

// equip gives the nodes the workload program and its image, which images of ours have.
func (c *Cluster) equip(ctx context.Context) error {
	var exit *proc.ExitError
	err := c.engine.Do(ctx, engine.Command{Args: []string{"exec", c.machines[0].container, "test", "-x", proberPath}})
	if err == nil || !errors.As(err, &exit) || exit.Status != 1 {
		return err // it has it, or that could not be asked
	}
	if c.options.Workload == nil {
		return fmt.Errorf("image %s has no workload program, and there is none to give it", c.image.Ref)
	}
	return c.options.Workload(ctx, func(program, archive string) error {
		return each(c.machines, func(m machine) error { return c.equipNode(ctx, m, program, archive) })
	})
}

func (c *Cluster) equipNode(ctx context.Context, m machine, program, archive string) error {
	if err := c.engine.Do(ctx, engine.Command{Args: []string{"cp", program, m.container + ":" + proberPath}}); err != nil {
		return fmt.Errorf("copy the workload program to node %q: %w", m.node, err)
	}
	image, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer image.Close()
	_, err = c.run(ctx, m, image, "ctr", "--namespace=k8s.io", "images", "import", "-")
	return err
}

// collectLogs writes what the nodes have to say into the cluster's folder, a folder a node: the journals of kubelet and containerd, and the logs of all
// pods. A node that does not run has its container's output only.
func (c *Cluster) collectLogs(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, logsTimeout, fmt.Errorf("the logs were not collected within %s", logsTimeout))
	defer cancel()
	return each(c.machines, func(m machine) error {
		if err := c.collectNode(ctx, m); err != nil {
			return fmt.Errorf("collect the logs of node %q: %w", m.node, err)
		}
		return nil
	})
}

func (c *Cluster) collectNode(ctx context.Context, m machine) error {
	dir := filepath.Join(c.spec.Dir, m.node)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	there, err := c.claimed.containers(ctx, c.engine)
	if err != nil || !slices.Contains(there, m.container) {
		return err // the creation did not get so far
	}
	running, err := c.running(ctx, m)
	if err != nil {
		return err
	}
	logs := map[string][]string{"console.log": {"logs", m.container}}
	if running {
		journal := func(unit string) []string {
			return []string{"exec", m.container, "journalctl", "--unit", unit, "--no-pager", "--output", "short-precise"}
		}
		logs["kubelet.log"], logs["containerd.log"] = journal("kubelet"), journal("containerd")
	}
	var errs []error
	for name, args := range logs {
		errs = append(errs, c.outputTo(ctx, filepath.Join(dir, name), args))
	}
	if running {
		errs = append(errs, c.copyPodLogs(ctx, m, dir))
	}
	return errors.Join(errs...)
}

func (c *Cluster) outputTo(ctx context.Context, path string, args []string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(c.engine.Do(ctx, engine.Command{Args: args, Stdout: file}), file.Close())
}

// podLogs is where the logs of pods are copied to on a node, and from there to this machine: the engine gives up a copy when a file grows meanwhile.
const podLogs = "/tmp/seatrial-pods"

// copyPodLogs copies /var/log/pods, which has a folder a pod ("production_web-0_UID"), unless there is none.
func (c *Cluster) copyPodLogs(ctx context.Context, m machine, dir string) error {
	if err := c.engine.Do(ctx, engine.Command{Args: []string{"exec", m.container, "test", "-d", "/var/log/pods"}}); err != nil {
		return nil //nolint:nilerr // no pod has run there
	}
	still := engine.Command{Args: []string{"exec", m.container, "cp", "--recursive", "--no-target-directory", "/var/log/pods", podLogs}}
	if err := c.engine.Do(ctx, still); err != nil { // a pod's folder may have gone after it was listed
		if err := c.engine.Do(ctx, still); err != nil {
			return err
		}
	}
	return c.engine.Do(ctx, engine.Command{Args: []string{"cp", m.container + ":" + podLogs, filepath.Join(dir, "pods")}})
}
