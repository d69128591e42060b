// Package kind makes clusters with the library of kind (https://kind.sigs.k8s.io): machines are containers, everything in them is real.
//
// The library makes the containers and runs kubeadm in them; the rest is ours, because it takes no context, calls a readiness that timed out a
// success, and drops the errors of its clean-up. It runs in a child process ([Entry]) that can be killed; what was made is known by the run's id from
// before it is there, and removed by us, by the reaper when we are killed, or by `seatrial gc` when that is killed too.
//
//	provider := kind.New(kind.Options{Supervisor: supervisor, Engine: openEngine, Images: getImages})
//	c, err := provider.Create(ctx, cluster.Spec{Name: "run-1", KubernetesVersion: "v1.34", ControlPlanes: 1, Workers: 2, …})
//	defer c.Close(ctx)
package kind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/identity"
	"github.com/seatrial/seatrial/sim/proc"
)

// Name is the provider's name.
const Name = "kind"

// nameLimit is how long the name of a cluster may be: the host name of a node is at most 64 characters (gethostname(2)), and kind makes it of this and
// "-control-plane15" or "-external-load-balancer".
const nameLimit = 64 - len("-external-load-balancer") - 1

// BalancerImage is the image of the container that kind puts before several control planes: the constant Image of its internal package
// pkg/cluster/internal/loadbalancer. A test holds it to the kind that is linked.
const BalancerImage = "docker.io/envoyproxy/envoy:v1.36.2"

// Image is what the nodes of a cluster are made from.
type Image struct {
	// Ref is what the engine calls it.
	Ref string
	// Version is its Kubernetes version, exact.
	Version string
	// Tags are those of its images that are not what its kubeadm asks for.
	Tags Tags
	// Targets are the versions that its nodes can be upgraded to.
	Targets []Target
}

// Options are what the provider needs of the rest of seatrial.
type Options struct {
	// Supervisor starts the processes.
	Supervisor *proc.Supervisor
	// Engine opens the container engine, once there is something to do with it.
	Engine func(context.Context) (*engine.Client, error)
	// Images makes the engine have the images for a version, which is a minor ("v1.34") or exact ("v1.34.4"), and says which that for nodes is. upgrades are
	// versions that its nodes are to be upgraded to. balanced says that the one for several control planes ([BalancerImage]) is needed too.
	Images func(ctx context.Context, version string, upgrades []string, balanced bool, progress io.Writer) (Image, error)
	// StageDir is where nodes that can be upgraded have the programs of the other versions, in a folder each.
	StageDir string
	// Workload gives do the workload program and its image as an archive, for nodes whose image has neither.
	Workload func(ctx context.Context, do func(program, archive string) error) error
	// Seatrial writes [cluster.SeatrialImage] as an archive.
	Seatrial func(to io.Writer) error
	// Dir is the folder that claims are in. Empty means seatrial/clusters in the user's cache folder.
	Dir string
	// patch changes kind's configuration: tests break clusters with it.
	patch func(*v1alpha4.Cluster)
}

// Provider makes kind clusters.
type Provider struct {
	options Options
	open    func(context.Context) (*engine.Client, error)
}

var _ cluster.Provider = (*Provider)(nil)

// New returns the provider. It asks nothing of the machine yet.
func New(o Options) *Provider { return &Provider{options: o, open: once(o.Engine)} }

// once opens the engine at the first call that succeeds.
func once(open func(context.Context) (*engine.Client, error)) func(context.Context) (*engine.Client, error) {
	var mu sync.Mutex
	var client *engine.Client
	return func(ctx context.Context) (*engine.Client, error) {
		mu.Lock()
		defer mu.Unlock()
		if client != nil {
			return client, nil
		}
		opened, err := open(ctx)
		if err == nil {
			client = opened
		}
		return opened, err
	}
}

// Name is what --provider takes.
func (p *Provider) Name() string { return Name }

// Has tells whether the clusters implement the capability.
func (p *Provider) Has(c cluster.Capability) bool {
	return slices.Contains([]cluster.Capability{cluster.CapPower, cluster.CapService, cluster.CapKeep, cluster.CapComponents, cluster.CapNetwork, cluster.CapDisk, cluster.CapUpgrade, cluster.CapEtcd, cluster.CapRestore, cluster.CapManifests, cluster.CapReopen, cluster.CapCertificates, cluster.CapAuthority, cluster.CapPods, cluster.CapEncryption}, c)
}

// Settings lists what differs from production on purpose.
func (p *Provider) Settings() []string {
	return []string{
		"nodes are containers that share this machine's kernel, disk and clock",
		"the kubelets neither evict pods nor remove images when the machine's disk fills up, as kind sets them up; where a scenario fills disks, each node has one of its own (etcd's data, the kubelet's folder), from which they evict as by default, with a taint that goes after 30 s in place of 5 min",
		"where this machine has control groups of version 1, kubelets from 1.35 on are told to take them (failCgroupV1), and kubeadm from 1.35 on is told to upgrade them without its verification of the node's system",
	}
}

// Prepare gets the images.
func (p *Provider) Prepare(ctx context.Context, spec cluster.Spec) error {
	if _, err := p.open(ctx); err != nil {
		return err
	}
	_, err := p.images(ctx, spec)
	return err
}

func (p *Provider) images(ctx context.Context, spec cluster.Spec) (Image, error) {
	return p.options.Images(ctx, spec.KubernetesVersion, spec.Upgrades, spec.ControlPlanes > 1, spec.Progress)
}

// Create makes a cluster and returns when it is ready. On error nothing of it is left, and when nodes did not become ready the error has the last lines
// of their kubelets.
func (p *Provider) Create(ctx context.Context, spec cluster.Spec) (cluster.Cluster, error) {
	c, err := p.create(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("create cluster %q: %w", spec.Name, err)
	}
	return c, nil
}

func (p *Provider) create(ctx context.Context, spec cluster.Spec) (*Cluster, error) {
	if err := validate(spec); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := engine.RoomForNodes(spec.ControlPlanes, spec.Workers); err != nil {
			return nil, err
		}
	}
	client, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	image, err := p.images(ctx, spec)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, cluster.ReadyTimeout, fmt.Errorf("it is not ready within %s", cluster.ReadyTimeout))
	defer cancel()
	c := newCluster(p.options, client, spec, image)
	if err := c.claim(ctx); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = errors.Join(cause, err)
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cluster.CloseTimeout)
		defer cancel()
		return nil, errors.Join(c.explain(ctx, err), c.Close(ctx))
	}
	return c, nil
}

// validate says what is wrong with a specification, all at once.
func validate(spec cluster.Spec) error {
	err := spec.Validate()
	if len(spec.Name) > nameLimit || !plainName.MatchString(spec.Name) {
		err = errors.Join(err, fmt.Errorf("name %q: want a DNS label of at most %d characters, because host names are made of it", spec.Name, nameLimit))
	}
	return err
}

// Cluster is a running kind cluster. Its methods may be called from several goroutines.
type Cluster struct {
	options   Options
	engine    *engine.Client
	spec      cluster.Spec
	image     Image
	machines  []machine // control planes first, each group ordered by number
	self      *identity.Identity
	config    *rest.Config
	servers   []cluster.APIServer
	client    kubernetes.Interface
	services  services
	addresses map[string]string  // of the nodes, in the cluster's network
	ready     time.Time          // when it was
	restarted map[instance]int32 // how often each component had been restarted by then
	disclaim  func() error       // tells the reaper that there is nothing left to remove
	claimed   *claim

	mu       sync.Mutex
	off      map[string]bool // nodes without power
	progress io.Writer
	started  time.Time
	// disturbed are the nodes whose components ended because of us: their power was cut, or they were stopped. The time is when all worked again, zero when nobody said so yet.
	disturbed map[string]time.Time
	ends      map[ending]cluster.Restart // those that were unasked

	closing  sync.Once
	closeErr error
}

var (
	_ cluster.Cluster       = (*Cluster)(nil)
	_ cluster.Power         = (*Cluster)(nil)
	_ cluster.ServiceClient = (*Cluster)(nil)
	_ cluster.Restarter     = (*Cluster)(nil)
	_ cluster.Keeper        = (*Cluster)(nil)
	_ cluster.Components    = (*Cluster)(nil)
	_ cluster.Network       = (*Cluster)(nil)
	_ cluster.Disks         = (*Cluster)(nil)
	_ cluster.Upgrader      = (*Cluster)(nil)
	_ cluster.Etcd          = (*Cluster)(nil)
	_ cluster.Manifests     = (*Cluster)(nil)
)

func newCluster(o Options, client *engine.Client, spec cluster.Spec, image Image) *Cluster {
	c := &Cluster{
		options: o, engine: client, spec: spec, image: image, machines: machines(spec),
		addresses: map[string]string{}, off: map[string]bool{}, disturbed: map[string]time.Time{}, ends: map[ending]cluster.Restart{}, progress: spec.Progress, started: time.Now(),
	}
	c.services = services{cluster: c, addresses: map[cluster.ServicePort]string{}, doubted: map[cluster.ServicePort]bool{}}
	if c.progress == nil {
		c.progress = io.Discard
	}
	return c
}

// RESTConfig reaches the API through the balancer, or the only API server, as cluster administrator.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// APIServers lists every API server, ordered by the number of its node.
func (c *Cluster) APIServers() []cluster.APIServer {
	servers := make([]cluster.APIServer, 0, len(c.servers))
	for _, s := range c.servers {
		servers = append(servers, cluster.APIServer{Node: s.Node, Config: rest.CopyConfig(s.Config)})
	}
	return servers
}

// Nodes lists the machines, control planes first.
func (c *Cluster) Nodes() []cluster.Node {
	nodes := make([]cluster.Node, 0, len(c.machines))
	for _, m := range c.machines {
		nodes = append(nodes, cluster.Node{Name: m.node, Role: m.role})
	}
	return nodes
}

// Version is the exact version of the control plane.
func (c *Cluster) Version() string { return c.image.Version }

// logsTimeout bounds the collection of logs, so that a node that hangs does not keep its cluster from being removed.
const logsTimeout = time.Minute

// Close collects the logs of the nodes and removes the cluster. It may be called more than once.
func (c *Cluster) Close(ctx context.Context) error {
	c.closing.Do(func() {
		c.services.close(ctx)
		if err := errors.Join(c.collectLogs(ctx), c.remove(ctx)); err != nil {
			c.closeErr = fmt.Errorf("close cluster %q: %w", c.spec.Name, err)
		}
	})
	return c.closeErr
}

// say tells the human that a phase is done, and how long after the beginning.
func (c *Cluster) say(format string, args ...any) {
	line := strings.TrimSpace(fmt.Sprintf(format, args...))
	if line == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Progress that can't be written is nothing to end a rehearsal for.
	_, _ = fmt.Fprintf(c.progress, "%6.2fs  %s\n", time.Since(c.started).Seconds(), line)
}
