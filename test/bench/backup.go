package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/seatrial/seatrial/sim/nodeimage"
	"github.com/seatrial/seatrial/test/etcdtest"
)

// The limits: ratios to etcd's own tools, bytes a second, bytes.
const (
	limitTake         = 1.2
	limitVerify       = 2
	digestRate        = 150e6
	limitDigestMemory = 64 << 20
)

// databases are what snapshots are taken of, by their size.
var databases = []struct {
	name string
	size int
}{{"256 MB", 256 << 20}, {"1 GB", 1 << 30}}

const (
	// objectSize is that of a value: a pod has 3 to 10 KB.
	objectSize = 4 << 10
	// objectsAtOnce is how many are written in a transaction: etcd takes 128.
	objectsAtOnce = 100
	// databaseQuota leaves room for the largest.
	databaseQuota = 4 << 30
	// memoryEvery is the time between two looks at a process's memory.
	memoryEvery = 5 * time.Millisecond
)

// measureBackup compares seatrial backup with etcdctl and etcdutl, on one member without TLS.
func measureBackup(ctx context.Context, b *bench) ([]row, error) {
	tools, err := b.build(ctx, nodeimage.Etcd(etcdVersion))
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, database := range databases {
		measured, err := b.measureDatabase(ctx, tools, database.name, database.size)
		if err != nil {
			return nil, err
		}
		rows = append(rows, measured...)
	}
	return rows, nil
}

func (b *bench) measureDatabase(ctx context.Context, tools, name string, size int) (_ []row, err error) {
	t, err := b.newBerth()
	if err != nil {
		return nil, err
	}
	dir := string(t)
	defer func() { err = errors.Join(err, b.supervisor.RemoveDir(dir)) }()
	client, stop, err := etcdtest.Start(filepath.Join(dir, "etcd"), func(c *embed.Config) { c.QuotaBackendBytes = databaseQuota })
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := fill(ctx, client, size); err != nil {
		return nil, err
	}
	endpoints := "--endpoints=" + client.Endpoints()[0]
	theirs, ours, restored := filepath.Join(dir, "theirs.db"), filepath.Join(dir, "ours.db"), filepath.Join(dir, "restored")
	var take, verify, inspect, peerTake, peerRestore []time.Duration
	var memory []int64
	type turn struct {
		times *[]time.Duration
		made  string
		argv  []string
	}
	for round := range b.rounds {
		turns := []turn{
			{&peerTake, theirs, []string{filepath.Join(tools, "etcdctl"), "snapshot", "save", theirs, endpoints}},
			{&take, ours, []string{b.seatrial, "backup", "take", ours, endpoints}},
			{&peerRestore, restored, []string{filepath.Join(tools, "etcdutl"), "snapshot", "restore", theirs, "--data-dir=" + restored}},
			{&verify, restored, []string{b.seatrial, "backup", "verify", ours}},
		}
		if round%2 == 1 { // nobody is always the one who finds the disk rested
			turns[0], turns[1], turns[2], turns[3] = turns[1], turns[0], turns[3], turns[2]
		}
		for _, turn := range turns {
			if err := os.RemoveAll(turn.made); err != nil {
				return nil, err
			}
			syscall.Sync() // so that nobody waits for what another wrote
			began := time.Now()
			if err := command(ctx, "", t.environment(os.Getenv("PATH")), turn.argv[0], turn.argv[1:]...); err != nil {
				return nil, err
			}
			*turn.times = append(*turn.times, time.Since(began))
			b.say("%s: %s %s took %.2f s", name, filepath.Base(turn.argv[0]), strings.Join(turn.argv[1:3], " "), time.Since(began).Seconds())
		}
		took, most, err := onOneCore(ctx, b.seatrial, "backup", "inspect", ours)
		if err != nil {
			return nil, err
		}
		inspect, memory = append(inspect, took), append(memory, most)
	}
	info, err := os.Stat(ours)
	if err != nil {
		return nil, err
	}
	theirTake, theirRestore := took(median(peerTake)), took(median(peerRestore))
	return []row{
		{"take a snapshot of " + name, took(median(take)), &theirTake, limitTake},
		{"verify it", took(median(verify)), &theirRestore, limitVerify},
		{"its hash and digest, on one core", took(median(inspect)), nil, float64(info.Size()) / digestRate},
		{"memory of that", uses(median(memory)), nil, limitDigestMemory},
	}, nil
}

// fill writes ConfigMaps of random content as API servers store them, so many bytes in all.
func fill(ctx context.Context, client *clientv3.Client, size int) error {
	noise := make([]byte, objectSize/2)
	for n := 0; n < size/objectSize; {
		var puts []clientv3.Op
		for ; len(puts) < objectsAtOnce; n++ {
			if _, err := rand.Read(noise); err != nil {
				return err
			}
			object := &corev1.ConfigMap{
				TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
				ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("n-%d", n%100), Name: fmt.Sprintf("c-%d", n), UID: types.UID(strconv.Itoa(n))},
				Data:       map[string]string{"noise": hex.EncodeToString(noise)},
			}
			var value bytes.Buffer
			if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(object, &value); err != nil {
				return err
			}
			puts = append(puts, clientv3.OpPut("/registry/configmaps/"+object.Namespace+"/"+object.Name, value.String()))
		}
		if _, err := client.Txn(ctx).Then(puts...).Commit(); err != nil {
			return fmt.Errorf("fill etcd: %w", err)
		}
	}
	return nil
}

// onOneCore runs a Go program on one core and returns what it took, and the most memory of its own that it had: pages of files are the kernel's.
func onOneCore(ctx context.Context, path string, args ...string) (time.Duration, int64, error) {
	c := exec.CommandContext(ctx, path, args...)
	c.Env = append(os.Environ(), "GOMAXPROCS=1")
	var out bytes.Buffer
	c.Stderr = &out
	began := time.Now()
	if err := c.Start(); err != nil {
		return 0, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for most := int64(0); ; {
		select {
		case err := <-ended:
			if err != nil {
				err = fmt.Errorf("%s: %w: %s", c, err, out.String())
			}
			return time.Since(began), most, err
		case <-time.After(memoryEvery):
			most = max(most, anonymous(c.Process.Pid))
		}
	}
}

// anonymous is the memory of a process that is no file's, in bytes; 0 when it has ended. proc_pid_status(5)
func anonymous(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		if size, ok := strings.CutPrefix(lines.Text(), "RssAnon:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(size)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}
