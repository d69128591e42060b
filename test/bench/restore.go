package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/embedded"
)

const (
	// limitRestore is for a snapshot of restoredSize and one member, in seconds.
	limitRestore = 15
	restoredSize = 256 << 20
	// restoreTimeout bounds one round: making the cluster, filling it, stopping it and restoring it.
	restoreTimeout = 5 * time.Minute
)

// controlPlane are the components that a restore stops.
var controlPlane = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}

// measureRestore takes the time from a snapshot, with everything stopped, to an API that is ready.
func measureRestore(ctx context.Context, b *bench) ([]row, error) {
	binaries, err := b.release(ctx)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for range b.rounds {
		elapsed, err := b.restoreOnce(ctx, binaries.Dir)
		if err != nil {
			return nil, err
		}
		b.say("a control plane with 256 MB was restored in %.2f s", elapsed.Seconds())
		times = append(times, elapsed)
	}
	return []row{{"restore a control plane with 256 MB", took(median(times)), nil, limitRestore}}, nil
}

func (b *bench) restoreOnce(ctx context.Context, binaries string) (_ time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	t, err := b.newBerth()
	if err != nil {
		return 0, err
	}
	dir := string(t)
	defer func() { err = errors.Join(err, b.supervisor.RemoveDir(dir)) }()
	provider := embedded.New(embedded.Options{
		Supervisor: b.supervisor,
		Releases: func(context.Context, string, []string) (embedded.Release, error) {
			return embedded.Release{Version: kubernetesVersion, Dir: binaries}, nil
		},
	})
	c, err := provider.Create(ctx, cluster.Spec{
		Name: "bench", KubernetesVersion: kubernetesVersion, ControlPlanes: 1, Dir: filepath.Join(dir, "cluster"), StateDir: stateDir(dir), Progress: b.progress,
	})
	if err != nil {
		return 0, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
		defer cancel()
		err = errors.Join(err, c.Close(closing))
	}()
	restorer, ok := c.(cluster.EtcdRestorer)
	if !ok {
		return 0, fmt.Errorf("the cluster lacks the capability %q", cluster.CapRestore)
	}
	if err := fillCluster(ctx, c, restoredSize); err != nil {
		return 0, err
	}
	file := filepath.Join(dir, "snapshot.db")
	if _, err := restorer.SaveSnapshot(ctx, "cp-1", file, false); err != nil {
		return 0, err
	}
	if err := restorer.StopComponents(ctx, "cp-1", controlPlane); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := restorer.RestoreMember(ctx, "cp-1", file, cluster.EtcdRestore{Token: "bench", BumpRevision: 1_000_000_000, MarkCompacted: true}); err != nil {
		return 0, err
	}
	if err := restorer.StartComponents(ctx, "cp-1"); err != nil {
		return 0, err
	}
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		return 0, err
	}
	if err := awaitAPI(ctx, client); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// fillCluster fills the etcd of a cluster, behind its API server.
func fillCluster(ctx context.Context, c cluster.Cluster, size int) (err error) {
	etcd, ok := c.(cluster.Etcd)
	if !ok {
		return fmt.Errorf("the cluster lacks the capability %q", cluster.CapEtcd)
	}
	members, err := etcd.EtcdMembers(ctx)
	if err != nil {
		return err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{members[0].Endpoint}, TLS: members[0].TLS, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return fill(ctx, client, size)
}
