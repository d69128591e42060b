package procedure

import (
	"context"
	"time"

	"github.com/seatrial/seatrial/harness/objects"
)

// AwaitBoot waits until a node that was booted is back: it is as after [AwaitBack], and the pods that belong to it have started again.
func AwaitBoot(ctx context.Context, env *Env, node string, began time.Time) error {
	if err := AwaitBack(ctx, env, node, began); err != nil {
		return err
	}
	return FromWait(env.Objects.AwaitNodePods(ctx, node, began))
}

// AwaitRoom waits until a node whose disk was full is back: it is as after [AwaitBack], and its kubelet has seen that there is room again.
func AwaitRoom(ctx context.Context, env *Env, node string, began time.Time) error {
	if err := AwaitBack(ctx, env, node, began); err != nil {
		return err
	}
	return FromWait(env.Objects.AwaitCondition(ctx, objects.Ref{Kind: "node", Name: node}, "DiskPressure", "False"))
}

// AwaitBack waits until the cluster has a node back: its API server answering where it has one, its lease renewed since, and the node Ready. Ready alone proves
// nothing: it is True until the node controller has noticed that the node was away.
func AwaitBack(ctx context.Context, env *Env, node string, began time.Time) error {
	for _, server := range env.Cluster.APIServers() {
		if server.Node != node {
			continue
		}
		if err := AwaitAPIServer(ctx, server, ""); err != nil {
			return err
		}
	}
	if err := env.Objects.AwaitRenewed(ctx, node, began); err != nil {
		return FromWait(err)
	}
	return FromWait(env.Objects.AwaitCondition(ctx, objects.Ref{Kind: "node", Name: node}, "Ready", "True"))
}
