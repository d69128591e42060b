// Package scratch restores snapshots of etcd into members that are thrown away.
//
//	database, end, err := scratch.Etcd{Supervisor: s, Entry: "_etcd"}.Restore(ctx, "snapshot.db", look)
package scratch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/sim/proc"
)

const (
	// readyTimeout is how long a member may take until it serves what it was restored from: a gigabyte took a few seconds.
	readyTimeout = 2 * time.Minute
	// name, peer and advertised are what the restored member is told that it is. Nobody else is told, and it listens nowhere but in its folder.
	name       = "scratch"
	peer       = "http://localhost:2380"
	advertised = "http://localhost:2379"
	// heartbeat and the time without one after which it stands for election are short: it is alone, and leads only when that time is over.
	heartbeat = 10 * time.Millisecond
)

// Etcd starts members of etcd that are thrown away.
type Etcd struct {
	Supervisor *proc.Supervisor
	// Entry is the entry of this binary that is an etcd member with a configuration file, and Ready the line that it writes when it serves.
	Entry, Ready string
}

// Restore restores a snapshot, whose hash was compared already, with etcdutl's own code, starts a member with that, has look ask it, ends it, and says where the database is that it served. It
// listens at a socket in a folder of ours alone. end throws the database away; so does the end of this process, however it ends.
func (e Etcd) Restore(ctx context.Context, from string, look func(*clientv3.Client) error) (database string, end func() error, err error) {
	dir, err := e.Supervisor.TempDir("", "seatrial-restore-*")
	if err != nil {
		return "", nil, err
	}
	end = func() error { return e.Supervisor.RemoveDir(dir) }
	m := member{etcd: e, dir: dir}
	if err := m.serve(ctx, from, look); err != nil {
		return "", nil, errors.Join(fmt.Errorf("restore snapshot %q into an etcd that is thrown away: %w", from, err), end())
	}
	return filepath.Join(m.data(), "member", "snap", "db"), end, nil
}

type member struct {
	etcd Etcd
	dir  string
}

// data is the folder of the member's data.
func (m member) data() string { return filepath.Join(m.dir, "data") }

// serve restores the snapshot and serves it. The member is started meanwhile, and waits for its configuration.
func (m member) serve(ctx context.Context, from string, look func(*clientv3.Client) error) (err error) {
	stdin, configuration := io.Pipe()
	defer configuration.Close()
	ready := make(chan struct{})
	serves := sync.OnceFunc(func() { close(ready) })
	process, err := m.etcd.Supervisor.Start(ctx, proc.Command{
		Name: "etcd of the snapshot", Args: []string{m.etcd.Entry, "/dev/stdin"}, Stdin: stdin,
		OnLine: func(line string) {
			if line == m.etcd.Ready {
				serves()
			}
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.Kill()) }() // nobody writes to it, so its database is as it served it
	err = snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: from, Name: name, OutputDataDir: m.data(), PeerURLs: []string{peer}, InitialCluster: name + "=" + peer, InitialClusterToken: name, SkipHashCheck: true,
	})
	if err != nil {
		return err
	}
	config, err := m.config()
	if err != nil {
		return err
	}
	if _, err := configuration.Write(config); err != nil {
		return fmt.Errorf("tell it what it is: %w", err)
	}
	if err := configuration.Close(); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	select {
	case <-ready:
	case <-process.Done():
		return process.Err()
	case <-waiting.Done():
		return fmt.Errorf("wait until it serves: %w", context.Cause(waiting))
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{m.clients()}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	return errors.Join(look(client), client.Close())
}

// clients is where it listens for them.
func (m member) clients() string { return "unix://" + filepath.Join(m.dir, "c") }

// config is its configuration file.
func (m member) config() ([]byte, error) {
	return yaml.Marshal(map[string]any{
		"name": name, "data-dir": m.data(), "unsafe-no-fsync": true, "log-level": "warn",
		"heartbeat-interval": heartbeat.Milliseconds(), "election-timeout": (5 * heartbeat).Milliseconds(),
		"listen-client-urls": m.clients(), "advertise-client-urls": advertised, "listen-peer-urls": "unix://" + filepath.Join(m.dir, "p"),
		"initial-advertise-peer-urls": peer, "initial-cluster": name + "=" + peer,
	})
}
