package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/proc"
)

// RemoveEntry is the name under which [RemoveMain] must be given to proc.Dispatch.
const RemoveEntry = "_kind-remove"

// runLabel marks networks with the name of the cluster that they are of.
const runLabel = "dev.seatrial.run"

// clusterLabel marks containers with the name of their cluster; kind sets it.
const clusterLabel = "io.x-k8s.kind.cluster"

// removeTimeout bounds the removal of a cluster: four nodes took three seconds.
const removeTimeout = time.Minute

// claim is a file that says which cluster is, or is about to be, on this machine, and all that its removal takes: whoever finds it can do that.
type claim struct {
	path string

	Name       string        `json:"name"`
	Containers []string      `json:"containers"`
	Engine     engine.Engine `json:"engine"`
	// Environment is that of the engine's commands.
	Environment []string `json:"environment"`
	// Owner is the process whose cluster it is.
	Owner proc.Identity `json:"owner"`
	// Kept says that the cluster is to outlive its owner.
	Kept bool `json:"kept"`
}

// claimsDir is the folder that claims are in.
func claimsDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the folder of clusters: %w", err)
	}
	return filepath.Join(cache, "seatrial", "clusters"), nil
}

// claim writes the claim and registers it with the reaper, before anything is made.
func (c *Cluster) claim(ctx context.Context) error {
	dir, err := claimsDir(c.options.Dir)
	if err != nil {
		return err
	}
	self, err := proc.Self()
	if err != nil {
		return fmt.Errorf("claim the cluster: %w", err)
	}
	made := &claim{
		path: filepath.Join(dir, c.spec.Name+".json"), Name: c.spec.Name, Engine: c.engine.Engine, Environment: c.engine.Environment(), Owner: self,
		Containers: []string{c.spec.Name + "-external-load-balancer"},
	}
	for _, m := range c.machines {
		made.Containers = append(made.Containers, m.container)
	}
	if err := made.refuseTaken(ctx, c.engine); err != nil {
		return err
	}
	if c.disclaim, err = c.options.Supervisor.Undo(RemoveEntry, made.path, self.String()); err != nil {
		return fmt.Errorf("claim the cluster: %w", err)
	}
	if err := made.write(os.Link); err != nil {
		return errors.Join(fmt.Errorf("claim the cluster: %w", err), c.disclaim())
	}
	c.claimed = made
	return nil
}

// refuseTaken looks whether something has the name already: it would be taken for ours.
func (l *claim) refuseTaken(ctx context.Context, e *engine.Client) error {
	taken, err := l.containers(ctx, e)
	if err != nil {
		return err
	}
	networks, err := e.Lines(ctx, "network", "ls", "--format", "{{.Name}}", "--filter", "name="+l.Name)
	if err != nil {
		return err
	}
	if slices.Contains(networks, l.Name) {
		taken = append(taken, "network "+l.Name)
	}
	if len(taken) > 0 {
		return fmt.Errorf("the name %q is taken: %s has %s", l.Name, e.Name, strings.Join(taken, ", "))
	}
	return nil
}

// write writes the claim for the user alone, whole or not at all. place gives it its name: os.Link when there must be none, os.Rename in place of the old one.
func (l *claim) write(place func(from, to string) error) error {
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return err
	}
	partial := l.path + ".partial"
	if err := os.WriteFile(partial, append(data, '\n'), 0o600); err != nil {
		return err
	}
	err = place(partial, l.path)
	if removeErr := os.Remove(partial); !errors.Is(removeErr, os.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return err
}

func readClaim(path string) (*claim, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	l := &claim{path: path}
	if err := json.Unmarshal(data, l); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return l, nil
}

// kubeconfig is where a kept cluster's is.
func (l *claim) kubeconfig() string { return strings.TrimSuffix(l.path, ".json") + ".kubeconfig" }

// containers are the names of the cluster's containers that there are.
func (l *claim) containers(ctx context.Context, e *engine.Client) ([]string, error) {
	return e.Lines(ctx, "ps", "--all", "--filter", "label="+clusterLabel+"="+l.Name, "--format", "{{.Names}}")
}

// remove removes the containers, their volumes and the network, and looks whether they are gone; then it gives up the claim. The engine's commands take many
// names: measured with podman, one for four nodes is faster than four side by side.
func (l *claim) remove(ctx context.Context, e *engine.Client) error {
	const rounds = 3 // a container that was being made while its maker was killed comes to light late
	var failed error // of the last round: somebody else may have been removing too
	for round := 0; ; round++ {
		left, err := l.look(ctx, e)
		if err != nil {
			return errors.Join(err, failed)
		}
		if left.none() {
			break
		}
		if round == rounds {
			return errors.Join(fmt.Errorf("remove cluster %q: still there are %s", l.Name, left), failed)
		}
		failed = left.remove(ctx, e)
	}
	if err := errors.Join(os.RemoveAll(l.disks()), os.RemoveAll(l.keys())); err != nil {
		return err
	}
	for _, path := range []string{l.kubeconfig(), l.path} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// remains are what the engine and the machine have of a cluster, by name.
type remains struct{ containers, volumes, networks, disks []string }

// look asks the engine and the machine what they have, side by side.
func (l *claim) look(ctx context.Context, e *engine.Client) (remains, error) {
	var r remains
	err := each([]func() error{
		func() (err error) { r.containers, err = l.containers(ctx, e); return err },
		func() (err error) { r.volumes, err = l.volumes(ctx, e); return err },
		func() (err error) {
			r.networks, err = e.Lines(ctx, "network", "ls", "--format", "{{.Name}}", "--filter", "label="+runLabel+"="+l.Name)
			return err
		},
		func() (err error) { r.disks, err = l.mounts(); return err },
	}, func(ask func() error) error { return ask() })
	return r, err
}

func (r remains) none() bool {
	return len(r.containers)+len(r.volumes)+len(r.networks)+len(r.disks) == 0
}

func (r remains) String() string {
	return fmt.Sprintf("containers %q, volumes %q, networks %q, disks %q", r.containers, r.volumes, r.networks, r.disks)
}

// remove removes the containers, and then what they used.
func (r remains) remove(ctx context.Context, e *engine.Client) error {
	if len(r.containers) > 0 {
		if err := e.Remove(ctx, r.containers...); err != nil {
			return err
		}
	}
	var rest [][]string
	for _, volume := range r.volumes { // side by side: each waits for the disk to discard what it freed
		rest = append(rest, []string{"volume", "rm", "--force", volume})
	}
	if len(r.networks) > 0 {
		rest = append(rest, append([]string{"network", "rm"}, r.networks...))
	}
	return errors.Join(each(rest, func(args []string) error { return e.Do(ctx, engine.Command{Args: args}) }), each(r.disks, unmount))
}

// listings is how often volumes are listed anew: podman gives up a list when anybody removes one of its volumes meanwhile, so each time there is one fewer to fall over.
const listings = 10

// volumes are the names of the volumes that kind labels with the name of a container of the cluster. Docker removes them with the container.
func (l *claim) volumes(ctx context.Context, e *engine.Client) ([]string, error) {
	var lines []string
	var err error
	for range listings {
		lines, err = e.Lines(ctx, "volume", "ls", "--format", "{{.Name}} {{.Labels}}")
		if err == nil || !strings.Contains(err.Error(), "no such volume") {
			break
		}
	}
	var ours []string
	for _, line := range lines {
		name, labels, _ := strings.Cut(line, " ")
		if slices.ContainsFunc(l.Containers, func(container string) bool { return hasLabel(labels, container) }) {
			ours = append(ours, name)
		}
	}
	return ours, err
}

// hasLabel looks for a label in the engines' notations: "a=true,b=c" and "map[a:true b:c]".
func hasLabel(labels, label string) bool {
	labels = strings.TrimSuffix(strings.TrimPrefix(labels, "map["), "]")
	return slices.ContainsFunc(strings.FieldsFunc(labels, func(r rune) bool { return r == ',' || r == ' ' }), func(l string) bool {
		return l == label || strings.HasPrefix(l, label+"=") || strings.HasPrefix(l, label+":")
	})
}

// each does something for all of them side by side.
func each[T any](all []T, do func(T) error) error {
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i, one := range all {
		running.Go(func() { errs[i] = do(one) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// remove removes the cluster and gives up its claim, in a time of its own.
func (c *Cluster) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	if err := c.claimed.remove(ctx, c.engine); err != nil {
		return err
	}
	return c.disclaim()
}

// Keep leaves the cluster running, with its logs collected so far. From now on it is the user's.
func (c *Cluster) Keep(ctx context.Context) ([]string, error) {
	var instructions []string
	c.closing.Do(func() {
		c.services.close(ctx)
		instructions, c.closeErr = c.keep(ctx)
	})
	if c.closeErr != nil {
		return instructions, fmt.Errorf("keep cluster %q: %w", c.spec.Name, c.closeErr)
	}
	return instructions, nil
}

func (c *Cluster) keep(ctx context.Context) ([]string, error) {
	kubeconfig, err := os.ReadFile(c.kubeconfig())
	if err != nil {
		return nil, err
	}
	c.claimed.Kept = true
	if err := errors.Join(os.WriteFile(c.claimed.kubeconfig(), kubeconfig, 0o600), c.claimed.write(os.Rename)); err != nil {
		return nil, errors.Join(err, c.remove(ctx)) // nobody would know of it
	}
	return []string{
		"reach it:  kubectl --kubeconfig " + c.claimed.kubeconfig() + " get nodes",
		"look in:   " + c.engine.Name + " exec -it " + c.machines[0].container + " bash",
		"delete it: seatrial gc " + c.spec.Name,
	}, errors.Join(c.disclaim(), c.collectLogs(ctx))
}

// RemoveMain is the entry "_kind-remove CLAIM OWNER": the reaper of a process that was killed, or could not remove its cluster, removes it, unless it was to be
// kept. A claim of that name by somebody else is not touched.
func RemoveMain(args []string) int {
	if len(args) != 2 {
		return 2
	}
	ctx := context.Background()
	supervisor, err := proc.NewSupervisor(ctx)
	if err == nil {
		_, err = collect(ctx, supervisor, args[0], func(l *claim) bool { return !l.Kept && l.Owner.String() == args[1] })
		err = errors.Join(err, supervisor.Close(ctx))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// CollectGarbage removes the clusters whose process is gone, and the kept ones that are named. It returns what it removed. Empty dir means the folder of
// an empty [Options].Dir.
func CollectGarbage(ctx context.Context, supervisor *proc.Supervisor, dir string, kept []string) (removed []string, err error) {
	dir, err = claimsDir(dir)
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("look for clusters left behind: %w", err)
	}
	var errs []error
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		named := slices.Contains(kept, name)
		gone, err := collect(ctx, supervisor, path, func(l *claim) bool { return l.Owner.Gone() && (!l.Kept || named) })
		errs = append(errs, err)
		if gone {
			removed = append(removed, name)
		} else if named && err == nil {
			errs = append(errs, fmt.Errorf("cluster %q is of a run that is under way", name))
		}
	}
	for _, name := range kept {
		if !slices.Contains(paths, filepath.Join(dir, name+".json")) {
			errs = append(errs, fmt.Errorf("no cluster %q was kept", name))
		}
	}
	return removed, errors.Join(errs...)
}

// collect removes the cluster of a claim, if it is wanted.
func collect(ctx context.Context, supervisor *proc.Supervisor, path string, wanted func(*claim) bool) (removed bool, err error) {
	l, err := readClaim(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil || !wanted(l) {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	err = l.remove(ctx, engine.Reopen(supervisor, l.Engine, l.Environment))
	return err == nil, err
}
