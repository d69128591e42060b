// Package scratch restores snapshots of etcd into members that are thrown away.
//
//	database, end, err := scratch.Etcd{Supervisor: s}.Restore(ctx, "snapshot.db", look)
package scratch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/sim/embedded"
	"github.com/seatrial/seatrial/sim/proc"
)

// Entry is the name under which [Main] must be given to [proc.Dispatch].
const Entry = "_restore"

// Main is the entry "_restore": a member of etcd with what a snapshot restores to. Its arguments are the snapshot, the folder for the member's data, and its configuration file.
func Main(args []string) int {
	if len(args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: _restore SNAPSHOT DATA-DIR CONFIG-FILE")
		return 2
	}
	if err := restore(args[0], args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return embedded.EtcdMain(args[2:])
}

// restore restores a snapshot with etcdutl's own code. Whoever asked for it looks at the hash meanwhile.
func restore(snap, data string) error {
	return snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: snap, Name: name, OutputDataDir: data, PeerURLs: []string{peer}, InitialCluster: name + "=" + peer, InitialClusterToken: name, SkipHashCheck: true,
	})
}

const (
	// readyTimeout is how long it may take to restore a snapshot and to serve that: a gigabyte took ten seconds.
	readyTimeout = 10 * time.Minute
	// name, peer and advertised are what the restored member is told that it is. Nobody else is told, and it listens nowhere but in its folder.
	name       = "scratch"
	peer       = "http://localhost:2380"
	advertised = "http://localhost:2379"
	// heartbeat and the time without one after which it stands for election are short: it is alone, and leads only when that time is over.
	heartbeat = 10 * time.Millisecond
)

// Etcd starts members of etcd that are thrown away.
type Etcd struct{ Supervisor *proc.Supervisor }

// Restore restores a snapshot with etcdutl's own code, starts a member with that, has look ask it, ends it, and says where the database is that it served. The hash is not looked at: a
// file that is damaged makes the member's process fail, and nothing else. It listens at a socket in a folder of ours alone. end throws the database away; so does the end of this process,
// however it ends.
func (e Etcd) Restore(ctx context.Context, from string, look func(*clientv3.Client) error) (database string, end func() error, err error) {
	dir, err := e.Supervisor.TempDir("", "seatrial-restore-*")
	if err != nil {
		return "", nil, err
	}
	end = func() error { return e.Supervisor.RemoveDir(dir) }
	m := member{dir: dir}
	if err := m.serve(ctx, e.Supervisor, from, look); err != nil {
		return "", nil, errors.Join(fmt.Errorf("restore snapshot %q into an etcd that is thrown away: %w", from, err), end())
	}
	return filepath.Join(m.data(), "member", "snap", "db"), end, nil
}

// member is one whose files are all in a folder.
type member struct{ dir string }

// data is the folder of the member's data.
func (m member) data() string { return filepath.Join(m.dir, "data") }

// serve restores the snapshot, serves it, and has look ask for it.
func (m member) serve(ctx context.Context, s *proc.Supervisor, from string, look func(*clientv3.Client) error) (err error) {
	config := filepath.Join(m.dir, "etcd.yaml")
	if err := m.configure(config); err != nil {
		return err
	}
	ready := make(chan struct{})
	serves := sync.OnceFunc(func() { close(ready) })
	process, err := s.Start(ctx, proc.Command{
		Name: "etcd of the snapshot", Args: []string{Entry, from, m.data(), config},
		OnLine: func(line string) {
			if line == embedded.EtcdReady {
				serves()
			}
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.Kill()) }() // nobody writes to it, so its database is as it served it
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

// configure writes its configuration file.
func (m member) configure(file string) error {
	config, err := yaml.Marshal(map[string]any{
		"name": name, "data-dir": m.data(), "unsafe-no-fsync": true, "log-level": "warn",
		"heartbeat-interval": heartbeat.Milliseconds(), "election-timeout": (5 * heartbeat).Milliseconds(),
		"listen-client-urls": m.clients(), "advertise-client-urls": advertised, "listen-peer-urls": "unix://" + filepath.Join(m.dir, "p"),
		"initial-advertise-peer-urls": peer, "initial-cluster": name + "=" + peer,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, config, 0o600)
}
