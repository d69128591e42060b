package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/balancer"
	"github.com/seatrial/seatrial/sim/hollow"
	"github.com/seatrial/seatrial/sim/identity"
	"github.com/seatrial/seatrial/sim/ready"
)

// create brings the cluster up. What can start does: nothing waits for a node other than its own, but for what needs an API.
func (c *Cluster) create(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	creation, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	c.setFailing(fail)
	defer c.setFailing(nil)

	if err := c.prepare(); err != nil {
		return err
	}
	err := c.start(creation)
	if creation.Err() != nil && ctx.Err() == nil {
		return context.Cause(creation) // a component ended, and whoever waited for it only saw the consequences
	}
	if err == nil {
		err = c.save()
	}
	if err != nil {
		return err
	}
	c.say("cluster %q is ready: Kubernetes %s", c.spec.Name, c.Version())
	return nil
}

// start starts the components and the nodes and waits until the cluster is ready. Leaders are waited for when all else is there: by then no lease is one of an earlier life.
func (c *Cluster) start(ctx context.Context) error {
	if err := c.startAll(ctx); err != nil {
		return err
	}
	for _, name := range led {
		if err := c.seen(ready.Leader(ctx, c.client, name), name+" has a leader"); err != nil {
			return err
		}
	}
	if c.earlier == nil {
		return nil
	}
	return c.catchUp(ctx)
}

// catchUp waits until requests to Services go where they are to: pods may have gone when nobody was left to write that down, and a node that was up all the time knew of the others. No rehearsal
// has to answer for what its own death did.
func (c *Cluster) catchUp(ctx context.Context) error {
	if err := ready.Endpoints(ctx, c.client); err != nil {
		return err
	}
	return c.seen(c.services.await(ctx), "endpoints are the pods that there are, and nodes know them")
}

// startAll starts the components and the nodes, and waits for all but leaders.
func (c *Cluster) startAll(ctx context.Context) error {
	up, ctx := errgroup.WithContext(ctx)
	api := make(chan struct{}) // closed when the first API server is ready
	unseat := c.unseater(ctx)
	for _, p := range c.planes {
		up.Go(func() error { return c.startControlPlane(ctx, p, api, unseat) })
	}
	if c.earlier == nil {
		up.Go(func() error { return after(ctx, api, c.install) })
	}
	up.Go(func() error { return after(ctx, api, c.startNodes) })
	up.Go(func() error {
		return after(ctx, api, func(ctx context.Context) error {
			return c.seen(ready.DefaultAccount(ctx, c.client), "the default service account is there")
		})
	})
	return up.Wait()
}

// setFailing sets what the end of a component ends: the creation, and nothing when that is over.
func (c *Cluster) setFailing(fail context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing = fail
}

// after does something when the channel is closed. When it never is, whoever was to close it says why.
func after(ctx context.Context, closed <-chan struct{}, do func(context.Context) error) error {
	select {
	case <-closed:
		return do(ctx)
	case <-ctx.Done():
		return nil
	}
}

// prepare reserves the ports, starts the balancer, and writes the nodes' files, unless they are there from an earlier life.
func (c *Cluster) prepare() error {
	logs := filepath.Join(c.spec.Dir, "logs")
	if err := errors.Join(os.MkdirAll(logs, 0o755), os.MkdirAll(c.spec.StateDir, 0o700)); err != nil {
		return err
	}
	for i := range c.spec.ControlPlanes {
		before := c.earlier.plane(i)
		p, err := newControlPlane(i, c.spec.StateDir, before.Ports)
		if err != nil {
			return err
		}
		p.copied = before.Copied
		p.equip(c, logs, func(name string) Release {
			if release, ok := before.Releases[name]; ok {
				return release
			}
			return c.release
		})
		c.planes = append(c.planes, p)
	}
	var err error
	if c.balancer, err = balancer.Listen(c.life, c.earlier.balancer(), nil); err != nil {
		return err
	}
	if c.earlier != nil {
		c.authorities, err = readAuthorities(c.planes[0].pki(""))
	} else {
		err = c.write()
	}
	if err != nil {
		return err
	}
	return c.connect()
}

// write makes the authorities and writes the nodes' files.
func (c *Cluster) write() error {
	var err error
	if c.authorities, err = newAuthorities(c.spec.Certificates); err != nil {
		return err
	}
	accounts, err := newAccountsKey()
	if err != nil {
		return err
	}
	for _, p := range c.planes {
		if err := p.prepare(c.issuer(), accounts, c.peers(), c.balancer.Addr()); err != nil {
			return fmt.Errorf("prepare node %q: %w", p.node, err)
		}
	}
	if err := errors.Join(c.encryptSecrets(), c.writeKubelets(), c.copyAdmin()); err != nil {
		return err
	}
	c.say("certificates and configuration are written")
	return writeRedacted(filepath.Join(c.spec.Dir, "kubeconfig"), c.balancer.Addr(), c.trusted())
}

// issuer issues certificates as the cluster is to have them.
func (c *Cluster) issuer() issuer { return c.shared().issuer(c.spec.Certificates) }

// ours issues our own certificates. Who watches outlives what is watched: they live as long as kubeadm's do by default.
func (c *Cluster) ours() issuer { return c.shared().issuer(cluster.Certificates{}) }

// trusted is the certificate of the authority that clients of the API trust.
func (c *Cluster) trusted() []byte { return c.shared()[kubernetesCA].Cert }

// connect makes the clients.
func (c *Cluster) connect() error {
	pair, err := superAdmin.certificate(c.ours())
	if err != nil {
		return err
	}
	c.self = identity.New(c.trusted(), pair)
	c.config = c.self.Client(restConfig(c.balancer.Addr()))
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		return err
	}
	for _, p := range c.planes {
		p.config = c.self.Client(restConfig(p.serverAddress()))
		if p.client, err = kubernetes.NewForConfig(p.config); err != nil {
			return err
		}
	}
	return nil
}

// startControlPlane starts the components of a node: etcd and the API server at once, as a kubelet does (the API server waits 20
// seconds for its etcd, and has a second or more of its own to do before), and those that end without an API when their own node's
// is ready. unseat is called before those that elect a leader.
func (c *Cluster) startControlPlane(ctx context.Context, p *controlPlane, api chan<- struct{}, unseat func(kubernetes.Interface) error) error {
	for _, name := range []string{etcd, apiServer} {
		if err := p.components[name].start(ctx); err != nil {
			return err
		}
	}
	if err := p.waitEtcd(ctx); err != nil {
		return err
	}
	c.say("etcd %s answers", p.node)
	if err := ready.APIServer(ctx, p.client, p.node); err != nil {
		return err
	}
	c.serve(p, api)
	c.say("kube-apiserver %s is ready", p.node)
	if err := unseat(p.client); err != nil {
		return err
	}
	for _, name := range led {
		if err := p.components[name].start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// serve puts an API server behind the balancer: one that listens and isn't ready yet must not be given requests. The second to come has the balancer ask
// them whether they are healthy.
func (c *Cluster) serve(p *controlPlane, api chan<- struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = append(c.serving, p.serverAddress())
	c.balancer.SetBackends(c.serving)
	switch len(c.serving) {
	case 1:
		close(api)
	case 2:
		c.running.Go(c.checkHealth)
	}
}

// checkHealth gives connections to those API servers only that are healthy, as kind's balancer does: one that ended and was started again listens before it
// can answer, and one whose etcd is away answers nothing.
func (c *Cluster) checkHealth() {
	var health balancer.Health
	var given []string
	tick := time.NewTicker(balancer.HealthInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.life.Done():
			return
		}
		c.mu.Lock()
		serving := slices.Clone(c.serving)
		c.mu.Unlock()
		if good := health.Healthy(c.life, serving); !slices.Equal(good, given) {
			c.balancer.SetBackends(good)
			given = good
		}
	}
}

// In a cluster of more nodes than this the kubelets have a nodeLeaseDurationSeconds of twice the default, and renew their leases every 20 s: a thousand that do every 10 s were an eighth of
// all requests while pods were made. It is still twice within the node monitor's grace period of 50 s.
const (
	manyNodes = 500
	longLease = 80 * time.Second
)

// startNodes starts the hollow nodes and waits until they are Ready.
func (c *Cluster) startNodes(ctx context.Context) error {
	var nodes []hollow.Node
	lease := time.Duration(0)
	if len(c.Nodes()) > manyNodes {
		lease = longLease
	}
	versions, err := c.kubeletVersions(ctx)
	if err != nil {
		return err
	}
	for _, n := range c.Nodes() {
		node := hollow.Node{Name: n.Name, Role: n.Role, KubeletVersion: cmp.Or(versions[n.Name], c.Version()), LeaseDuration: lease}
		if node.Client, err = c.kubeletClient(n.Name); err != nil {
			return err
		}
		if p := c.plane(n.Name); p != nil {
			node.Labels, node.Taints, node.StaticPods = controlPlaneLabels, controlPlaneTaints, p.staticPods()
		}
		nodes = append(nodes, node)
	}
	c.kubelets, err = hollow.Start(ctx, hollow.Options{Config: c.kubeletConfig(), Nodes: nodes, Log: slog.Default()})
	if err != nil {
		return err
	}
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return c.seen(ready.Nodes(ctx, c.client, names), fmt.Sprintf("%d nodes are Ready", len(names)))
}

// kubeletConfig is how the kubelets reach the API: as kubeadm has it, through the balancer only where there are several servers.
func (c *Cluster) kubeletConfig() *rest.Config {
	if len(c.planes) == 1 {
		return c.planes[0].config
	}
	return c.RESTConfig()
}

// seen says that a wait is over, unless it ended with an error, which it returns.
func (c *Cluster) seen(err error, what string) error {
	if err == nil {
		c.say("%s", what)
	}
	return err
}
