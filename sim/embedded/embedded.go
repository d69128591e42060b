// Package embedded makes clusters whose control plane is real and whose machines are not.
//
// Each control plane node is four processes on loopback: an etcd member (this binary started again, see [EtcdMain])
// and kube-apiserver, kube-controller-manager and kube-scheduler of any release, with the certificates, flags and
// admission that kubeadm gives them. One TCP balancer stands before the API servers. Nodes and pods are hollow
// (package sim/hollow). No container engine and no root are needed. docs/embedded.md says what is like production
// and what isn't.
//
//	provider := embedded.New(embedded.Options{Supervisor: supervisor, Releases: store.Get})
//	c, err := provider.Create(ctx, cluster.Spec{Name: "run-1", KubernetesVersion: "v1.34", ControlPlanes: 3, Workers: 2, …})
//	defer c.Close(ctx)
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/balancer"
	"github.com/seatrial/seatrial/sim/hollow"
	"github.com/seatrial/seatrial/sim/identity"
	"github.com/seatrial/seatrial/sim/proc"
)

// Name is the provider's name.
const Name = "embedded"

// readyTimeout is how long a cluster may take to become ready.
const readyTimeout = 3 * time.Minute

// closeTimeout bounds the clean-up after a creation that did not work out.
const closeTimeout = 15 * time.Second

// Release is a folder with the executables of one Kubernetes version.
type Release struct {
	// Version is exact: "v1.34.4".
	Version string
	// Dir holds the executables under their own names.
	Dir string
}

// Options are what the provider needs of the rest of seatrial.
type Options struct {
	// Supervisor starts the processes.
	Supervisor *proc.Supervisor
	// Releases gets the named components of a version, which is a minor ("v1.34") or exact ("v1.34.4").
	Releases func(ctx context.Context, version string, components []string) (Release, error)
	// Creations, unless nil, are the turns in which clusters are created: one creation keeps two cores busy, and a component that gets too little of
	// them for ten seconds ends.
	Creations *semaphore.Weighted
	// Seed makes the choice of endpoints by [Cluster.Request] repeatable.
	Seed uint64
}

// Provider makes embedded clusters.
type Provider struct{ options Options }

var _ cluster.Provider = (*Provider)(nil)

// New returns the provider.
func New(o Options) *Provider { return &Provider{options: o} }

// Name is what --provider takes.
func (p *Provider) Name() string { return Name }

// Has tells whether the clusters implement the capability.
func (p *Provider) Has(c cluster.Capability) bool {
	return slices.Contains([]cluster.Capability{cluster.CapPower, cluster.CapService, cluster.CapUpgrade, cluster.CapComponents, cluster.CapEtcd, cluster.CapRestore, cluster.CapManifests, cluster.CapReopen, cluster.CapEncryption, cluster.CapCertificates, cluster.CapAuthority}, c)
}

// Settings lists what differs from production on purpose.
func (p *Provider) Settings() []string {
	return []string{
		"etcd does not fsync, and writes its database out every 500 ms and not every 100 ms: the data is thrown away with the cluster",
		"etcd answers gRPC and nothing else at its port: HTTP's cost is saved",
		"client rate limits of the control plane are off",
		"in clusters of more than 500 nodes the kubelets renew their leases every 20 s and not every 10 s",
		"schedulers that don't lead keep no cache of the cluster: one that takes over lists it first",
		"a component that is asked to end has 3 s for it and not 30 s: an API server would wait that long for clients that watch",
		"nodes are hollow: pods live by their annotations, no container runs, and no manifests folder is read",
	}
}

// Prepare gets the releases into the store.
func (p *Provider) Prepare(ctx context.Context, spec cluster.Spec) error {
	if _, err := p.options.Releases(ctx, spec.KubernetesVersion, kubernetesComponents); err != nil {
		return err
	}
	for _, version := range spec.Upgrades {
		if _, err := p.options.Releases(ctx, version, targetPrograms(spec)); err != nil {
			return err
		}
	}
	return nil
}

// Create starts a cluster and returns when it is ready. A component that ends before that ends the creation, unless it
// may have stumbled over others that start, and the error has its exit status and its last lines ([*proc.ExitError]). On error nothing is left running and
// spec.StateDir is empty.
func (p *Provider) Create(ctx context.Context, spec cluster.Spec) (cluster.Cluster, error) {
	if err := spec.Validate(); err != nil {
		return nil, fmt.Errorf("create cluster %q: %w", spec.Name, err)
	}
	release, err := p.options.Releases(ctx, spec.KubernetesVersion, kubernetesComponents)
	if err != nil {
		return nil, fmt.Errorf("create cluster %q: %w", spec.Name, err)
	}
	if turns := p.options.Creations; turns != nil {
		if err := turns.Acquire(ctx, 1); err != nil {
			return nil, fmt.Errorf("create cluster %q: wait until others are created: %w", spec.Name, context.Cause(ctx))
		}
		defer turns.Release(1)
	}
	c := newCluster(ctx, p.options, spec, release)
	if err := c.create(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("create cluster %q: %w", spec.Name, err), c.giveUp(ctx))
	}
	return c, nil
}

// giveUp ends what was started of a cluster that did not become ready.
func (c *Cluster) giveUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return c.Close(ctx)
}

// Cluster is a running embedded cluster. Its methods may be called from several goroutines.
type Cluster struct {
	options Options
	spec    cluster.Spec
	release Release
	started time.Time
	earlier *state // what is known of the life before this one; nil in the first

	precious bool // the state outlives a Close: it is being reopened, and another attempt may follow

	life    context.Context // ends what is in this process
	end     context.CancelFunc
	running sync.WaitGroup

	planes      []*controlPlane // ordered by number
	balancer    *balancer.Balancer
	authorities authorities        // guarded by mu; see shared
	self        *identity.Identity // system:masters
	config      *rest.Config       // through the balancer
	client      kubernetes.Interface
	services    *services
	kubelets    *hollow.Kubelets

	saving   sync.Mutex // one writes the state at a time
	mu       sync.Mutex
	failing  context.CancelCauseFunc // while it is created: ends the creation
	stumbled map[*component]bool     // those that ended once while the cluster was created
	restarts []cluster.Restart

	identities map[string]*kubeletIdentity // of kubelets that have one of their own, by node; set before they start

	progress io.Writer
	serving  []string // addresses of API servers that have been ready

	closing  sync.Once
	closeErr error
}

var (
	_ cluster.Cluster       = (*Cluster)(nil)
	_ cluster.Power         = (*Cluster)(nil)
	_ cluster.ServiceClient = (*Cluster)(nil)
	_ cluster.Upgrader      = (*Cluster)(nil)
	_ cluster.Components    = (*Cluster)(nil)
	_ cluster.Etcd          = (*Cluster)(nil)
	_ cluster.Manifests     = (*Cluster)(nil)
)

func newCluster(ctx context.Context, o Options, spec cluster.Spec, release Release) *Cluster {
	c := &Cluster{options: o, spec: spec, release: release, started: time.Now(), progress: spec.Progress, stumbled: map[*component]bool{}}
	if c.progress == nil {
		c.progress = io.Discard
	}
	c.life, c.end = context.WithCancel(context.WithoutCancel(ctx))
	c.services = &services{cluster: c, rand: rand.New(rand.NewPCG(o.Seed, 0))}
	return c
}

// RESTConfig reaches the API through the balancer as cluster administrator.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// APIServers lists every API server, ordered by the number of its node.
func (c *Cluster) APIServers() []cluster.APIServer {
	servers := make([]cluster.APIServer, 0, len(c.planes))
	for _, p := range c.planes {
		servers = append(servers, cluster.APIServer{Node: p.node, Config: rest.CopyConfig(p.config)})
	}
	return servers
}

// Nodes lists the machines, control planes first.
func (c *Cluster) Nodes() []cluster.Node {
	var nodes []cluster.Node
	for i := range c.spec.ControlPlanes {
		nodes = append(nodes, cluster.Node{Name: fmt.Sprintf("cp-%d", i+1), Role: cluster.ControlPlane})
	}
	for i := range c.spec.Workers {
		nodes = append(nodes, cluster.Node{Name: fmt.Sprintf("worker-%d", i+1), Role: cluster.Worker})
	}
	return nodes
}

// Version is the exact version of the control plane.
func (c *Cluster) Version() string { return c.release.Version }

// Restarts lists the components that ended unasked since the cluster was ready, oldest first. Each was started again
// as a kubelet does it.
func (c *Cluster) Restarts(context.Context) ([]cluster.Restart, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.restarts), nil
}

// Close ends the components, those that ask the API first, and empties spec.StateDir. When the context ends before
// they have, they are killed. It may be called more than once.
func (c *Cluster) Close(ctx context.Context) error {
	c.closing.Do(func() {
		if err := c.close(ctx); err != nil {
			c.closeErr = fmt.Errorf("close cluster %q: %w", c.spec.Name, err)
		}
	})
	return c.closeErr
}

func (c *Cluster) close(ctx context.Context) error {
	c.end()
	if c.kubelets != nil {
		c.kubelets.Close()
	}
	for _, k := range c.identities {
		k.close()
	}
	c.services.close()
	var errs []error
	for _, tier := range []struct {
		components []string
		grace      time.Duration
	}{
		{led, time.Second},
		{[]string{apiServer}, time.Second},
		{[]string{etcd}, time.Second},
	} {
		errs = append(errs, c.stopTier(ctx, tier.components, tier.grace)...)
	}
	if c.balancer != nil {
		errs = append(errs, c.balancer.Close())
	}
	c.running.Wait()
	for _, p := range c.planes {
		p.ports.close()
	}
	if !c.precious {
		errs = append(errs, empty(c.spec.StateDir))
	}
	return errors.Join(errs...)
}

// stopTier stops components of the given names on all nodes, side by side.
func (c *Cluster) stopTier(ctx context.Context, names []string, grace time.Duration) []error {
	var stopping sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, p := range c.planes {
		for _, name := range names {
			stopping.Go(func() {
				if err := p.components[name].stop(ctx, grace); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				}
			})
		}
	}
	stopping.Wait()
	return errs
}

// empty removes what is in a folder, but not the folder, which is its maker's.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, entry := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
	return errors.Join(errs...)
}

// say tells the human that a phase is done, and how long after the beginning.
func (c *Cluster) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	line := strings.TrimSpace(fmt.Sprintf(format, args...))
	// Progress that can't be written is nothing to end a rehearsal for.
	_, _ = fmt.Fprintf(c.progress, "%6.2fs  %s\n", time.Since(c.started).Seconds(), line)
}
