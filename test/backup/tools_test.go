// Package backup_test holds our snapshots against the real etcdctl and etcdutl: what one takes the other restores.
package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/sim/gobuild"
	"github.com/seatrial/seatrial/sim/nodeimage"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/progress"
	"github.com/seatrial/seatrial/sim/scratch"
	"github.com/seatrial/seatrial/test/etcdtest"
)

// versions of the tools are those that node images of v1.33 and v1.34 have, so that they are built once.
var versions = []string{"v3.5.33", "v3.6.5"}

func TestMain(m *testing.M) {
	proc.Dispatch(map[string]func([]string) int{scratch.Entry: scratch.Main, proc.ReaperEntry: proc.ReaperMain})
	os.Exit(m.Run())
}

// tools builds etcdctl and etcdutl of a version, or finds them built.
func tools(t *testing.T, supervisor *proc.Supervisor, version string) string {
	t.Helper()
	store, err := gobuild.NewStore(gobuild.Options{
		Supervisor: func(context.Context) (*proc.Supervisor, error) { return supervisor, nil }, Progress: progress.New(io.Discard),
	})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := store.Get(t.Context(), nodeimage.Etcd(version))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs one of them.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	c := exec.CommandContext(t.Context(), program, args...)
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", c, err, out.String())
	}
	return out.String()
}

// filled is an etcd with objects of two resources, some of them changed and some deleted.
func filled(t *testing.T) *clientv3.Client {
	t.Helper()
	client, stop, err := etcdtest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	put := func(key, value string) {
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		put(fmt.Sprintf("/registry/configmaps/default/c-%d", i), fmt.Sprintf(`{"metadata":{"namespace":"default","name":"c-%d","uid":"u%d"}}`, i, i))
		put(fmt.Sprintf("/registry/namespaces/n-%d", i), fmt.Sprintf(`{"metadata":{"name":"n-%d","uid":"n%d"}}`, i, i))
	}
	put("/registry/configmaps/default/c-7", `{"metadata":{"namespace":"default","name":"c-7","uid":"u7"},"data":{"a":"b"}}`)
	if _, err := client.Delete(t.Context(), "/registry/namespaces/n-3"); err != nil {
		t.Fatal(err)
	}
	return client
}

// TestEtcdctlTakes: what the real etcdctl takes is proven as ours is, and holds what etcd holds. Without a manifest it is said what nothing was compared with.
func TestEtcdctlTakes(t *testing.T) {
	supervisor := supervise(t)
	client := filled(t)
	holds, err := backup.OfCluster(t.Context(), client, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			g := NewWithT(t)
			path := filepath.Join(t.TempDir(), "snapshot.db")
			run(t, filepath.Join(tools(t, supervisor, version), "etcdctl"), "snapshot", "save", path, "--endpoints="+client.Endpoints()[0])
			v, err := backup.Verify(t.Context(), path, scratch.Etcd{Supervisor: supervisor})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(v.Digest.Hash()).To(Equal(holds.Hash()))
			g.Expect(v.Unchecked).To(ContainElement(ContainSubstring("no manifest")))
		})
	}
}

// TestEtcdutlRestores: what we take the real etcdutl finds whole and restores, and etcd holds then what it held.
func TestEtcdutlRestores(t *testing.T) {
	supervisor := supervise(t)
	client := filled(t)
	path := filepath.Join(t.TempDir(), "snapshot.db")
	manifest, err := backup.Take(t.Context(), backup.Member{Endpoint: client.Endpoints()[0], Client: client}, path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			g := NewWithT(t)
			etcdutl := filepath.Join(tools(t, supervisor, version), "etcdutl")
			g.Expect(run(t, etcdutl, "snapshot", "status", path, "--write-out=json")).To(ContainSubstring(fmt.Sprintf(`"revision":%d`, manifest.File.Revision)))
			data := filepath.Join(t.TempDir(), "restored")
			run(t, etcdutl, "snapshot", "restore", path, "--data-dir="+data)
			restored, stop, err := etcdtest.Start(data)
			g.Expect(err).NotTo(HaveOccurred())
			defer stop()
			holds, err := backup.OfCluster(t.Context(), restored, 0)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(holds.Hash()).To(Equal(manifest.Digest.Hash()))
		})
	}
}

func supervise(t *testing.T) *proc.Supervisor {
	t.Helper()
	supervisor, err := proc.NewSupervisor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := supervisor.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return supervisor
}
