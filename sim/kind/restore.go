package kind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/ready"
)

// The capability EtcdRestorer, by etcd's own tools in the nodes, which images of ours have.

var _ cluster.EtcdRestorer = (*Cluster)(nil)

const (
	// etcdFolder is where kubeadm has etcd keep its data, in the folder member.
	etcdFolder = "/var/lib/etcd"
	// restoredFolder is where etcdutl makes it.
	restoredFolder = "/var/lib/etcd-restored"
	// snapshotFile is a snapshot on its way from or to a node.
	snapshotFile = "/var/lib/etcd-snapshot.db"
	// stoppedFolder is where the manifests of static pods are that were stopped.
	stoppedFolder = "/etc/kubernetes/manifests-stopped"
)

// controlPlaneComponents are what the manifests of a control plane run.
var controlPlaneComponents = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}

// SaveSnapshot implements cluster.EtcdRestorer with etcdctl snapshot save.
func (c *Cluster) SaveSnapshot(ctx context.Context, node, file string, leave bool) (string, error) {
	m, err := c.machine(node)
	if err != nil {
		return "", err
	}
	const pki = "/etc/kubernetes/pki/etcd/"
	_, err = c.run(ctx, m, nil, "etcdctl", "snapshot", "save", snapshotFile, "--endpoints=https://127.0.0.1:2379",
		"--cacert="+pki+"ca.crt", "--cert="+pki+"server.crt", "--key="+pki+"server.key")
	if err == nil {
		_, err = c.run(ctx, m, nil, "etcdutl", "snapshot", "status", snapshotFile, "--write-out=json")
	}
	if err == nil {
		err = c.fetch(ctx, m, snapshotFile, file)
	}
	if !leave || err != nil {
		_, removed := c.run(ctx, m, nil, "rm", "-f", snapshotFile)
		err = errors.Join(err, removed)
	}
	return snapshotFile, err
}

// CopyDatabase implements cluster.EtcdRestorer.
func (c *Cluster) CopyDatabase(ctx context.Context, node, file string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	return c.fetch(ctx, m, path.Join(etcdFolder, "member/snap/db"), file)
}

// fetch copies a file from a node to this machine, for its owner alone.
func (c *Cluster) fetch(ctx context.Context, m machine, from, to string) error {
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = c.engine.Do(ctx, engine.Command{Args: []string{"exec", m.container, "cat", from}, Stdout: file})
	return errors.Join(err, file.Close())
}

const (
	// kubeletPatience is how long a kubelet may take to stop what was taken from it: it gives each 30 s to end, and an API server takes them. One that is told a second time would end at once.
	kubeletPatience = 35 * time.Second
	// stopGrace is how long a component may take to end that the kubelet did not tell to.
	stopGrace = 10 * time.Second
	// killGrace is how long the kubelet may go on starting again what it has not yet been told to stop.
	killGrace = 30 * time.Second
)

// StopComponents implements cluster.EtcdRestorer: the manifests are moved away, and it is waited until the kubelet has ended all that they ran. etcd is the last: without it an API server answers nobody
// and does not end, and a kubelet that wants to tell it which pods are gone waits for it instead of stopping it, half a minute for each. So it is told to end, as people do at this point.
func (c *Cluster) StopComponents(ctx context.Context, node string, components []string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	if err := c.disturb(node); err != nil {
		return fmt.Errorf("stop components of %q: %w", node, err)
	}
	isEtcd := func(component string) bool { return component == "etcd" }
	if clients := slices.DeleteFunc(slices.Clone(components), isEtcd); len(clients) > 0 {
		if err := c.moveManifests(ctx, m, manifestsFolder, stoppedFolder, clients...); err != nil {
			return fmt.Errorf("stop components of %q: %w", node, err)
		}
		patient, cancel := context.WithTimeout(ctx, kubeletPatience)
		err := c.awaitAbsent(patient, m, clients)
		cancel()
		if err != nil && ctx.Err() == nil {
			err = c.end(ctx, m, clients)
		}
		if err != nil {
			return err
		}
	}
	if slices.ContainsFunc(components, isEtcd) {
		if err := c.moveManifests(ctx, m, manifestsFolder, stoppedFolder, "etcd"); err != nil {
			return fmt.Errorf("stop components of %q: %w", node, err)
		}
	}
	return c.awaitAbsent(ctx, m, components)
}

// end has components end that the kubelet did not stop: they are told to, and killed when they don't. Meanwhile a kubelet that hangs on an API server which has no etcd may start one again that has ended by
// itself, before it looks at what it is to stop: that is killed too.
func (c *Cluster) end(ctx context.Context, m machine, components []string) error {
	if _, err := c.signalAll(ctx, m, "TERM", components); err != nil {
		return err
	}
	patient, cancel := context.WithTimeout(ctx, stopGrace)
	err := c.awaitAbsent(patient, m, components)
	cancel()
	if err == nil || ctx.Err() != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(ctx, killGrace)
	defer cancel()
	return ready.Poll(ctx, strings.Join(components, ", ")+" of "+m.node+" have ended", func(ctx context.Context) error {
		killed, err := c.signalAll(ctx, m, "KILL", components)
		if err == nil && len(killed) > 0 {
			err = fmt.Errorf("%s ran, and was killed", strings.Join(killed, ", "))
		}
		return err
	})
}

// signalAll sends a signal to what runs of components, which it returns.
func (c *Cluster) signalAll(ctx context.Context, m machine, signal string, components []string) ([]string, error) {
	running, err := c.processes(ctx, m, "pid", components...)
	if err != nil || len(running) == 0 {
		return nil, err
	}
	argv, names := []string{"kill", "-" + signal}, slices.Sorted(maps.Keys(running))
	for _, component := range names {
		argv = append(argv, running[component]...)
	}
	_, _ = c.run(ctx, m, nil, argv...) // one may just have ended, and then it fails; whether they end is looked at
	return names, nil
}

// awaitAbsent waits until none of the components runs.
func (c *Cluster) awaitAbsent(ctx context.Context, m machine, components []string) error {
	return ready.Poll(ctx, strings.Join(components, ", ")+" of "+m.node+" have ended", func(ctx context.Context) error {
		running, err := c.processes(ctx, m, "pid", components...)
		if err == nil && len(running) > 0 {
			err = fmt.Errorf("%s runs", strings.Join(slices.Sorted(maps.Keys(running)), ", "))
		}
		return err
	})
}

// StartComponents implements cluster.EtcdRestorer: the manifests are moved back.
func (c *Cluster) StartComponents(ctx context.Context, node string, components ...string) error {
	m, err := c.machine(node)
	if err == nil {
		err = c.moveManifests(ctx, m, stoppedFolder, manifestsFolder, components...)
	}
	if err != nil {
		return fmt.Errorf("start components of %q: %w", node, err)
	}
	return nil
}

// Settled implements cluster.StaticPods.
func (c *Cluster) Settled(node string) error {
	c.mu.Lock()
	c.disturbed[node] = time.Now()
	c.mu.Unlock()
	return c.save()
}

// agesCommand asks since how many whole seconds processes run, and for the node's time before and after: an engine takes seconds to give a command where much else is done.
const agesCommand = `date +%s%N && ps -eo etimes=,args= && date +%s%N`

// Started implements cluster.StaticPods. A process's age is in whole seconds, and asking for it takes the node a moment.
func (c *Cluster) Started(ctx context.Context, node string) (map[string]time.Time, time.Duration, error) {
	m, err := c.machine(node)
	if err != nil {
		return nil, 0, err
	}
	lines, err := c.engine.Lines(ctx, "exec", m.container, "sh", "-c", agesCommand)
	if err == nil && len(lines) < 2 {
		err = fmt.Errorf("%d lines", len(lines))
	}
	if err != nil {
		return nil, 0, fmt.Errorf("ask %q since when its components run: %w", node, err)
	}
	before, err := strconv.ParseInt(lines[0], 10, 64)
	after, other := strconv.ParseInt(lines[len(lines)-1], 10, 64)
	if err = errors.Join(err, other); err != nil {
		return nil, 0, fmt.Errorf("ask %q what time it is: %w", node, err)
	}
	since := map[string]time.Time{}
	for component, ages := range parseProcesses(lines[1:len(lines)-1], controlPlaneComponents) {
		for _, age := range ages {
			seconds, err := strconv.Atoi(age)
			if err != nil {
				return nil, 0, fmt.Errorf("ask %q since when %s runs: %w", node, component, err)
			}
			since[component] = time.Unix(0, before).Add(-time.Duration(seconds+1) * time.Second)
		}
	}
	return since, time.Second + time.Duration(after-before), nil
}

// moveManifests moves the manifests that are in a folder, all or those of some components.
func (c *Cluster) moveManifests(ctx context.Context, m machine, from, to string, components ...string) error {
	if _, err := c.run(ctx, m, nil, "mkdir", "-p", from, to); err != nil {
		return err
	}
	files, err := c.read(ctx, m, from, ".")
	if err != nil {
		return err
	}
	argv := []string{"mv", "--target-directory=" + to}
	for _, manifest := range manifestsIn(files) {
		if component, _, _ := strings.Cut(manifest.File, "."); len(components) == 0 || slices.Contains(components, component) {
			argv = append(argv, path.Join(from, manifest.File))
		}
	}
	if len(argv) == 2 {
		return nil
	}
	_, err = c.run(ctx, m, nil, argv...)
	return err
}

// RestoreMember implements cluster.EtcdRestorer with etcdutl snapshot restore.
func (c *Cluster) RestoreMember(ctx context.Context, node, file string, how cluster.EtcdRestore) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	if how.RemoveOld {
		if _, err := c.run(ctx, m, nil, "rm", "-rf", path.Join(etcdFolder, "member")); err != nil {
			return fmt.Errorf("restore etcd on %q: %w", node, err)
		}
	}
	if err := c.restoreData(ctx, m, file, how); err != nil {
		return fmt.Errorf("restore etcd on %q: %w", node, err)
	}
	return nil
}

func (c *Cluster) restoreData(ctx context.Context, m machine, file string, how cluster.EtcdRestore) (err error) {
	snapshot, err := os.Open(file)
	if err != nil {
		return err
	}
	defer snapshot.Close()
	defer func() { // also where there was no room for it
		_, removed := c.run(ctx, m, nil, "rm", "-rf", restoredFolder, snapshotFile)
		err = errors.Join(err, removed)
	}()
	if _, err := c.run(ctx, m, snapshot, "install", "--mode=0600", "/dev/stdin", snapshotFile); err != nil {
		return err
	}
	if _, err := c.run(ctx, m, nil, "rm", "-rf", restoredFolder); err != nil { // of an attempt that was killed
		return err
	}
	if _, err := c.run(ctx, m, nil, c.restoreCommand(m.node, how)...); err != nil {
		return err
	}
	if err := c.keepData(ctx, m, how.Token); err != nil {
		return err
	}
	_, err = c.run(ctx, m, nil, "mv", path.Join(restoredFolder, "member"), etcdFolder)
	return err
}

// restoreCommand is etcdutl's, with the node's name and peers as kubeadm gives them to etcd.
func (c *Cluster) restoreCommand(node string, how cluster.EtcdRestore) []string {
	peer := func(node string) string { return "https://" + net.JoinHostPort(c.addresses[node], "2380") }
	var peers []string
	for _, m := range c.controlPlanes() {
		peers = append(peers, m.node+"="+peer(m.node))
	}
	argv := []string{
		"etcdutl", "snapshot", "restore", snapshotFile, "--data-dir=" + restoredFolder, "--name=" + node,
		"--initial-cluster=" + strings.Join(peers, ","), "--initial-advertise-peer-urls=" + peer(node), "--initial-cluster-token=" + how.Token,
	}
	if how.BumpRevision > 0 {
		argv = append(argv, "--bump-revision="+strconv.FormatUint(how.BumpRevision, 10))
		if how.MarkCompacted {
			argv = append(argv, "--mark-compacted")
		}
	}
	return argv
}

// keepData renames the member's data, which is then kept: on the same file system, because etcd's may be one of its own. When that name is there already, what the member has is from a
// restore that was killed.
func (c *Cluster) keepData(ctx context.Context, m machine, token string) error {
	kept, member := keptFolder(token), path.Join(etcdFolder, "member")
	found, err := c.run(ctx, m, nil, "find", etcdFolder, "-maxdepth", "1", "-type", "d")
	if err != nil {
		return err
	}
	folders := strings.Fields(found) // names have no spaces
	switch {
	case !slices.Contains(folders, member):
		return nil
	case slices.Contains(folders, kept):
		_, err = c.run(ctx, m, nil, "rm", "-rf", member)
	default:
		_, err = c.run(ctx, m, nil, "mv", member, kept)
	}
	return err
}

// KeptData implements cluster.EtcdRestorer.
func (c *Cluster) KeptData(ctx context.Context, node, token string) (string, int64, error) {
	m, err := c.machine(node)
	if err != nil {
		return "", 0, err
	}
	kept := keptFolder(token)
	found, err := c.run(ctx, m, nil, "find", etcdFolder, "-path", path.Join(kept, "snap/db"), "-printf", "%s")
	if err != nil || found == "" {
		return kept, 0, err
	}
	size, err := strconv.ParseInt(strings.TrimSpace(found), 10, 64)
	return kept, size, err
}

// keptFolder is where the data goes that a restore with that token finds.
func keptFolder(token string) string { return path.Join(etcdFolder, "member-before-"+token) }

// LoseMember implements cluster.EtcdRestorer: without its manifest the kubelet does not start etcd again, which is killed, and its data is removed.
func (c *Cluster) LoseMember(ctx context.Context, node string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	err = c.disturb(node)
	if err == nil {
		err = c.moveManifests(ctx, m, manifestsFolder, stoppedFolder, "etcd")
	}
	if err == nil {
		_, err = c.signalAll(ctx, m, "KILL", []string{"etcd"})
	}
	if err == nil {
		err = c.awaitAbsent(ctx, m, []string{"etcd"})
	}
	if err == nil {
		_, err = c.run(ctx, m, nil, "rm", "-rf", path.Join(etcdFolder, "member"))
	}
	if err != nil {
		return fmt.Errorf("lose etcd on %q: %w", node, err)
	}
	return nil
}
