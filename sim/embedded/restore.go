package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	etcdclient "go.etcd.io/etcd/client/v3/snapshot"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/seatrial/seatrial/harness/cluster"
)

var _ cluster.EtcdRestorer = (*Cluster)(nil)

// snapshotFile is a snapshot in the folder of a node.
const snapshotFile = "etcd-snapshot.db"

// SaveSnapshot implements cluster.EtcdRestorer with what etcdctl snapshot save does.
func (c *Cluster) SaveSnapshot(ctx context.Context, node, file string, leave bool) (string, error) {
	p, err := c.planeOf(node)
	if err != nil {
		return "", err
	}
	onNode := filepath.Join(p.dir, snapshotFile)
	if err := c.saveSnapshot(ctx, node, onNode); err != nil {
		return "", fmt.Errorf("save a snapshot of etcd on %q: %w", node, err)
	}
	if !leave {
		return onNode, os.Rename(onNode, file)
	}
	return onNode, copyFile(onNode, file)
}

// CopyDatabase implements cluster.EtcdRestorer.
func (c *Cluster) CopyDatabase(_ context.Context, node, file string) error {
	p, err := c.planeOf(node)
	if err != nil {
		return err
	}
	return copyFile(databaseIn(p.etcdDir()), file)
}

// copyFile copies a file to another, for its owner alone.
func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, source)
	return errors.Join(err, file.Close())
}

func (c *Cluster) saveSnapshot(ctx context.Context, node, file string) error {
	members, err := c.EtcdMembers(ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Node != node {
			continue
		}
		config := clientv3.Config{Endpoints: []string{m.Endpoint}, TLS: m.TLS, DialOptions: []grpc.DialOption{grpc.WithNoProxy()}}
		_, err := etcdclient.SaveWithVersion(ctx, zap.NewNop(), config, file)
		return err
	}
	return errors.New("it has no member")
}

// StopComponents implements cluster.EtcdRestorer: all at once, as a kubelet does whose manifests are gone.
func (c *Cluster) StopComponents(ctx context.Context, node string, components []string) error {
	p, err := c.planeOf(node)
	if err != nil {
		return err
	}
	var all errgroup.Group
	for _, name := range components {
		m, ok := p.components[name]
		if !ok {
			return fmt.Errorf("stop %q on %q: it runs no such component", name, node)
		}
		all.Go(func() error { return m.stop(ctx, componentGrace) })
	}
	if err := all.Wait(); err != nil {
		return fmt.Errorf("stop components of %q: %w", node, err)
	}
	return nil
}

// StartComponents implements cluster.EtcdRestorer: all at once, as a kubelet does that finds the manifests. Those that find no API yet end and are started again.
func (c *Cluster) StartComponents(ctx context.Context, node string, components ...string) error {
	p, err := c.planeOf(node)
	if err != nil {
		return err
	}
	for _, name := range bootOrder {
		if len(components) > 0 && !slices.Contains(components, name) {
			continue
		}
		if err := p.components[name].start(ctx); err != nil {
			return fmt.Errorf("start components of %q: %w", node, err)
		}
	}
	return nil
}

// Started implements cluster.StaticPods. We start them, and know it exactly.
func (c *Cluster) Started(_ context.Context, node string) (map[string]time.Time, time.Duration, error) {
	p, err := c.planeOf(node)
	if err != nil {
		return nil, 0, err
	}
	since := map[string]time.Time{}
	for name, m := range p.components {
		if began, runs := m.since(); runs {
			since[name] = began
		}
	}
	return since, 0, nil
}

// Settled implements cluster.StaticPods: an end that was asked for is told from others at once.
func (c *Cluster) Settled(string) error { return nil }

// RestoreMember implements cluster.EtcdRestorer with etcdutl's own code.
func (c *Cluster) RestoreMember(_ context.Context, node, file string, how cluster.EtcdRestore) error {
	p, err := c.planeOf(node)
	if err != nil {
		return err
	}
	if err := p.restore(file, how, c.peers()); err != nil {
		return fmt.Errorf("restore etcd on %q: %w", node, err)
	}
	return nil
}

// KeptData implements cluster.EtcdRestorer.
func (c *Cluster) KeptData(_ context.Context, node, token string) (string, int64, error) {
	p, err := c.planeOf(node)
	if err != nil {
		return "", 0, err
	}
	kept := p.keptDir(token)
	found, err := os.Stat(databaseIn(kept))
	if errors.Is(err, fs.ErrNotExist) {
		return kept, 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	return kept, found.Size(), nil
}

// databaseIn is where etcd has its database in a data directory.
func databaseIn(dir string) string { return filepath.Join(dir, "member", "snap", "db") }

// keptDir is where the data goes that a restore with that token finds.
func (p *controlPlane) keptDir(token string) string { return p.etcdDir() + "-before-" + token }

func (p *controlPlane) restore(file string, how cluster.EtcdRestore, peers []string) error {
	restored := p.etcdDir() + "-restored"
	if err := os.RemoveAll(restored); err != nil { // of an attempt that was killed
		return err
	}
	if how.RemoveOld {
		if err := os.RemoveAll(p.etcdDir()); err != nil {
			return err
		}
	}
	err := snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: file, Name: p.node, OutputDataDir: restored, PeerURLs: []string{p.peerURL()},
		InitialCluster: strings.Join(peers, ","), InitialClusterToken: how.Token,
		RevisionBump: how.BumpRevision, MarkCompacted: how.BumpRevision > 0 && how.MarkCompacted})
	if err != nil {
		return errors.Join(err, os.RemoveAll(restored))
	}
	if err := p.keep(p.keptDir(how.Token)); err != nil {
		return err
	}
	return os.Rename(restored, p.etcdDir())
}

// keep moves the member's data away. When a folder is there already, what the member has is from a restore that was killed.
func (p *controlPlane) keep(kept string) error {
	there := func(path string) (bool, error) {
		_, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	before, err := there(kept)
	if err != nil {
		return err
	}
	found, err := there(filepath.Join(p.etcdDir(), "member"))
	switch {
	case err != nil:
		return err
	case before || !found:
		return os.RemoveAll(p.etcdDir())
	}
	return os.Rename(p.etcdDir(), kept)
}

// LoseMember implements cluster.EtcdRestorer: the member is killed, and its folder is empty.
func (c *Cluster) LoseMember(ctx context.Context, node string) error {
	p, err := c.planeOf(node)
	if err != nil {
		return err
	}
	if err := p.components[etcd].stop(ctx, 0); err != nil {
		return fmt.Errorf("lose etcd on %q: %w", node, err)
	}
	return os.RemoveAll(filepath.Join(p.etcdDir(), "member"))
}

// planeOf is the control plane node of that name.
func (c *Cluster) planeOf(node string) (*controlPlane, error) {
	if p := c.plane(node); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("node %q is no control plane", node)
}
