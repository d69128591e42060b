package upgrade

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/trace"
)

// controlPlane waits until every control plane works: API servers, of which the op's node's is of that version too, when one is given, and etcd.
func (w work) controlPlane(ctx context.Context, exact string) error {
	if err := w.apiServers(ctx, exact); err != nil {
		return err
	}
	if err := procedure.AwaitEtcd(ctx, w.env); err != nil {
		return err
	}
	if err := w.manifests(ctx); err != nil {
		return err
	}
	return RecordServed(ctx, w.env)
}

// RecordServed puts the certificates that the API servers serve into the recording: an upgrade renews them. One that is down now and then is asked again.
func RecordServed(ctx context.Context, env *procedure.Env) error {
	for _, server := range env.Cluster.APIServers() {
		var found trace.CertificateData
		var last error
		err := wait.PollUntilContextCancel(ctx, servedEvery, true, func(ctx context.Context) (bool, error) {
			found, last = certs.Served(ctx, server)
			return last == nil, nil
		})
		if err != nil {
			return procedure.Failf("wait for the API server of %s: expected a handshake, last seen: %v", server.Node, last)
		}
		if err := env.Record(trace.KindFact, found.ID(), trace.CertificateServed, found); err != nil {
			return err
		}
	}
	return nil
}

// servedEvery is the time between two handshakes with an API server.
const servedEvery = 500 * time.Millisecond

// manifests puts into the recording what lies in the manifests folders of the control planes: the kubelet runs it, whoever left it there.
func (w work) manifests(ctx context.Context) error {
	folders, ok := w.env.Cluster.(cluster.Manifests)
	if !ok {
		return nil
	}
	for _, server := range w.env.Cluster.APIServers() {
		files, err := folders.Manifests(ctx, server.Node)
		if err != nil {
			return err
		}
		d := trace.ManifestsData{Node: server.Node, Files: []trace.ManifestData{}}
		for _, f := range files {
			d.Files = append(d.Files, trace.ManifestData(f))
		}
		if err := w.env.Record(trace.KindFact, "node/"+server.Node, trace.ManifestsListed, d); err != nil {
			return err
		}
	}
	return nil
}

// apiServers waits until every API server is ready, and the op's node's is of that version too, when one is given.
func (w work) apiServers(ctx context.Context, exact string) error {
	for _, server := range w.env.Cluster.APIServers() {
		version := ""
		if server.Node == w.op.Node {
			version = exact
		}
		if err := procedure.AwaitAPIServer(ctx, server, version); err != nil {
			return err
		}
	}
	return nil
}

// recover waits until etcd is whole, the node is Ready, and every Deployment and StatefulSet is complete: the next node may take pods from them only then. One that was incomplete
// before holds the upgrade up too, as it should.
func (w work) recover(ctx context.Context) error {
	if err := procedure.AwaitEtcd(ctx, w.env); err != nil {
		return err
	}
	if err := w.env.Objects.AwaitCondition(ctx, objects.Ref{Kind: "node", Name: w.op.Node}, "Ready", "True"); err != nil {
		return procedure.FromWait(err)
	}
	if err := procedure.AwaitLeaders(ctx, w.env, time.Now().Add(-procedure.LeaderAlive)); err != nil { // without them what workloads say of themselves is old
		return err
	}
	return procedure.AwaitWorkloads(ctx, w.env, false)
}

// finish waits until etcd is whole, the control plane's pods are Ready, and every workload is complete, the DaemonSets too. The manifests folders are looked at once more.
func (w work) finish(ctx context.Context) error {
	if err := procedure.AwaitEtcd(ctx, w.env); err != nil {
		return err
	}
	if err := w.manifests(ctx); err != nil {
		return err
	}
	if err := w.planePods(ctx); err != nil {
		return err
	}
	return procedure.AwaitWorkloads(ctx, w.env, true)
}

// planePods waits until the pods of the control planes are Ready, as kubeadm names them. A scheduler or controller manager that does not work under the new version is hidden by another that leads.
func (w work) planePods(ctx context.Context) error {
	for _, server := range w.env.Cluster.APIServers() {
		for _, component := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
			pod := objects.Ref{Kind: "pod", Namespace: metav1.NamespaceSystem, Name: component + "-" + server.Node}
			if err := w.env.Objects.AwaitCondition(ctx, pod, "Ready", "True"); err != nil {
				return procedure.FromWait(err)
			}
		}
	}
	return nil
}
