package embedded

import (
	"crypto/ecdsa"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/proc"
)

// The components of a control plane node.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
)

// kubernetesComponents are those that come from a release.
var kubernetesComponents = []string{apiServer, controllerManager, scheduler}

// kubelet runs on no node; it is only asked whether it knows the feature gates.
const kubelet = "kubelet"

// targetPrograms are those of a version that a cluster is upgraded to.
func targetPrograms(spec cluster.Spec) []string {
	if len(spec.FeatureGates) == 0 {
		return kubernetesComponents
	}
	return append(slices.Clone(kubernetesComponents), kubelet)
}

// The cluster's names and addresses. The services' network and the domain are kubeadm's defaults; nothing listens on any
// of these addresses.
const (
	clusterName    = "kubernetes"
	dnsDomain      = "cluster.local"
	serviceNetwork = "10.96.0.0/12"
	apiServiceIP   = "10.96.0.1"
	dnsServiceIP   = "10.96.0.10"
	// podNetwork has room for 32768 nodes of 254 pods; sim/hollow gives out the same.
	podNetwork     = "10.128.0.0/9"
	podNetworkBits = "24"
	clientQPS      = "5000"
	clientBurst    = "10000"
	readsInFlight  = "4000"
	writesInFlight = "2000"
)

// heapGrowth is each component's GOGC: by how many percent of what is in use its heap may grow until garbage is collected. Go's default
// is 100. Measured with 1000 nodes and 5000 pods, these save a tenth of the whole cluster's memory and no difference in time was seen.
var heapGrowth = map[string]string{etcd: "60", apiServer: "85", controllerManager: "50", scheduler: "70"}

// growth is a component's GOGC. With several control planes time is what lacks, because each of them does much of the work again: they collect less often.
func growth(name string, controlPlanes int) string {
	if controlPlanes > 1 {
		return "400"
	}
	return heapGrowth[name]
}

// processors is each component's GOMAXPROCS: how many of the machine's processors it uses at a time. The API server may have all. The others, which run beside it and do half of the work,
// have half of them each: with two processors that saved a twentieth of the whole cluster's processor time, which went into waking and waiting for each other.
func processors(name string) int {
	if name == apiServer {
		return runtime.NumCPU()
	}
	return max(1, runtime.NumCPU()/2)
}

// timerSlack is each component's. A thread of Go's runtime (sysmon) looks after a process that has something to do every 20 µs to 10 ms, and a cluster of three control planes has twelve processes: an upgrade of a
// hundred nodes took 409 s of processors' time with the kernel's slack of 50 µs, and 372 s with this one, once each. No timer of Kubernetes or etcd is about milliseconds.
const timerSlack = time.Millisecond

// controlPlane is a control plane node. Its folder is to it what /etc/kubernetes and /var/lib/etcd are to a machine.
type controlPlane struct {
	node   string
	first  bool   // kubeadm init made it, and join the others
	ip     net.IP // as the hollow node has it; nothing listens there
	dir    string
	ports  *ports
	config *rest.Config // straight to its API server
	client kubernetes.Interface

	etcdReady  chan struct{}
	components map[string]*component
	copied     []string // components of whose manifests there is a copy; guarded by the cluster's mu
	signsWith  string   // where the authority is that its controller manager signs with, without what its files end with, "" for the usual place; likewise
}

func (p *controlPlane) etcdDir() string           { return filepath.Join(p.dir, "etcd") }
func (p *controlPlane) etcdConfig() string        { return filepath.Join(p.dir, "etcd.yaml") }
func (p *controlPlane) pki(name string) string    { return filepath.Join(p.dir, "pki", name) }
func (p *controlPlane) conf(name string) string   { return filepath.Join(p.dir, name+".conf") }
func (p *controlPlane) schedulerConfig() string   { return filepath.Join(p.dir, "scheduler-config.yaml") }
func (p *controlPlane) peerURL() string           { return "https://" + address(p.ports.etcdPeer) }
func (p *controlPlane) serverAddress() string     { return address(p.ports.apiServer) }
func (p *controlPlane) log(logs, c string) string { return filepath.Join(logs, c+"-"+p.node+".log") }

// newControlPlane reserves the ports of control plane node number i, from 0: those that it had in an earlier life, if any.
func newControlPlane(i int, stateDir string, earlier []int) (*controlPlane, error) {
	ports, err := reservePorts(earlier)
	if err != nil {
		return nil, err
	}
	node := fmt.Sprintf("cp-%d", i+1)
	return &controlPlane{
		node:      node,
		first:     i == 0,
		ip:        net.IPv4(172, 16, byte((i+1)>>8), byte(i+1)), // the nodes of sim/hollow are numbered so, control planes first
		dir:       filepath.Join(stateDir, node),
		ports:     ports,
		etcdReady: make(chan struct{}),
	}, nil
}

// prepare writes everything that the node's components read.
func (p *controlPlane) prepare(shared issuer, accounts *ecdsa.PrivateKey, members []string, balanced string) error {
	if err := os.MkdirAll(p.etcdDir(), 0o700); err != nil {
		return err
	}
	if err := shared.write(p.pki(""), p.node, p.ip, accounts); err != nil {
		return err
	}
	if err := shared.writeKubeconfigs(p.dir, balanced, p.serverAddress(), func(file string) bool { return file != superAdmin.file || p.first }); err != nil {
		return err
	}
	if err := p.writeEtcdConfig(members); err != nil {
		return err
	}
	return p.writeSchedulerConfig()
}

// equip makes the node's components, which do not run yet. release says which release each is from.
func (p *controlPlane) equip(c *Cluster, logs string, release func(name string) Release) {
	p.components = map[string]*component{}
	for _, name := range bootOrder {
		command := proc.Command{Name: name + " " + p.node, Args: c.arguments(p, name), Dir: p.dir, Log: p.log(logs, name), TimerSlack: timerSlack}
		command.Env = append(proc.Environment(), "GOGC="+growth(name, c.spec.ControlPlanes), fmt.Sprintf("GOMAXPROCS=%d", processors(name)))
		m := &component{cluster: c, node: p.node, name: name, command: command}
		m.become(release(name))
		p.components[name] = m
	}
	ready := p.etcdReady
	p.components[etcd].command.OnLine = func(line string) {
		if line == EtcdReady && ready != nil {
			close(ready)
			ready = nil
		}
	}
}

// arguments are those of a component of a node.
func (c *Cluster) arguments(p *controlPlane, name string) []string {
	var args []string
	switch name {
	case etcd:
		return []string{EtcdEntry, p.etcdConfig()}
	case apiServer:
		args = p.apiServerArgs()
		if apis := c.spec.RuntimeConfig; len(apis) > 0 {
			args = append(args, "--runtime-config="+cluster.Switches(apis))
		}
		if c.spec.EncryptSecrets {
			args = append(args, "--encryption-provider-config="+p.encryptionConfig())
		}
	case controllerManager:
		args = p.controllerManagerArgs()
		if validity := c.spec.Certificates.Validity; validity > 0 {
			args = append(args, "--cluster-signing-duration="+validity.String())
		}
	case scheduler:
		args = p.schedulerArgs()
	}
	if gates := c.spec.FeatureGates; len(gates) > 0 {
		args = append(args, featureGates(gates))
	}
	return args
}

// featureGates is the flag of every component of Kubernetes that sets them.
func featureGates(gates map[string]bool) string { return "--feature-gates=" + cluster.Switches(gates) }

// flags turns pairs of names and values into arguments.
func flags(pairs ...string) []string {
	var args []string
	for i := 0; i < len(pairs); i += 2 {
		args = append(args, "--"+pairs[i]+"="+pairs[i+1])
	}
	return args
}

// apiServerArgs are kubeadm's flags (cmd/kubeadm/app/phases/controlplane of v1.34.4), and after them those that
// only a control plane on loopback with hollow nodes needs.
func (p *controlPlane) apiServerArgs() []string {
	return flags(
		"advertise-address", p.ip.String(),
		"allow-privileged", "true",
		"authorization-mode", "Node,RBAC",
		"client-ca-file", p.pki("ca.crt"),
		"enable-admission-plugins", "NodeRestriction",
		"enable-bootstrap-token-auth", "true",
		"etcd-cafile", p.pki("etcd/ca.crt"),
		"etcd-certfile", p.pki("apiserver-etcd-client.crt"),
		"etcd-keyfile", p.pki("apiserver-etcd-client.key"),
		"etcd-servers", "https://"+address(p.ports.etcdClient),
		"kubelet-client-certificate", p.pki("apiserver-kubelet-client.crt"),
		"kubelet-client-key", p.pki("apiserver-kubelet-client.key"),
		"kubelet-preferred-address-types", "InternalIP,ExternalIP,Hostname",
		"proxy-client-cert-file", p.pki("front-proxy-client.crt"),
		"proxy-client-key-file", p.pki("front-proxy-client.key"),
		"requestheader-allowed-names", "front-proxy-client",
		"requestheader-client-ca-file", p.pki("front-proxy-ca.crt"),
		"requestheader-extra-headers-prefix", "X-Remote-Extra-",
		"requestheader-group-headers", "X-Remote-Group",
		"requestheader-username-headers", "X-Remote-User",
		"secure-port", strconv.Itoa(p.ports.apiServer),
		"service-account-issuer", "https://kubernetes.default.svc."+dnsDomain,
		"service-account-key-file", p.pki("sa.pub"),
		"service-account-signing-key-file", p.pki("sa.key"),
		"service-cluster-ip-range", serviceNetwork,
		"tls-cert-file", p.pki("apiserver.crt"),
		"tls-private-key-file", p.pki("apiserver.key"),

		"bind-address", loopback,
		"permit-port-sharing", "true",
		"max-requests-inflight", readsInFlight,
		"max-mutating-requests-inflight", writesInFlight,
	)
}

// controllerManagerArgs are kubeadm's flags, and then those of loopback and speed. With 5000 pods on 1000 nodes the default of 20 requests a second would be what a rehearsal measures. How many objects each
// controller looks after at once stays at the default of 5: with 50, the status of workloads was written half again as often while 100 workers were upgraded.
func (p *controlPlane) controllerManagerArgs() []string {
	return flags(
		"allocate-node-cidrs", "true",
		"authentication-kubeconfig", p.conf("controller-manager"),
		"authorization-kubeconfig", p.conf("controller-manager"),
		"bind-address", loopback,
		"client-ca-file", p.pki("ca.crt"),
		"cluster-cidr", podNetwork,
		"cluster-name", clusterName,
		"cluster-signing-cert-file", p.signing()+".crt",
		"cluster-signing-key-file", p.signing()+".key",
		"controllers", "*,bootstrapsigner,tokencleaner",
		"kubeconfig", p.conf("controller-manager"),
		"leader-elect", "true",
		"requestheader-client-ca-file", p.pki("front-proxy-ca.crt"),
		"root-ca-file", p.pki("ca.crt"),
		"service-account-private-key-file", p.pki("sa.key"),
		"service-cluster-ip-range", serviceNetwork,
		"use-service-account-credentials", "true",

		"node-cidr-mask-size", podNetworkBits,
		"secure-port", strconv.Itoa(p.ports.controllerManager),
		"permit-port-sharing", "true",
		"kube-api-qps", clientQPS,
		"kube-api-burst", clientBurst,
	)
}

// schedulerArgs differ from kubeadm's in form: client limits are raised in a configuration file, because their flags are deprecated. It has
// also how many nodes are looked at side by side, which is as many as it has processors: the default of 16 costs two cores a quarter of the scheduler's time. Those that don't lead list and
// watch nothing until they do: with three control planes, two would decode every change of a pod for nothing.
func (p *controlPlane) schedulerArgs() []string {
	return flags(
		"authentication-kubeconfig", p.conf("scheduler"),
		"authorization-kubeconfig", p.conf("scheduler"),
		"bind-address", loopback,
		"config", p.schedulerConfig(),
		"secure-port", strconv.Itoa(p.ports.scheduler),
		"permit-port-sharing", "true",
	)
}

func (p *controlPlane) writeSchedulerConfig() error {
	lines := []string{
		"apiVersion: kubescheduler.config.k8s.io/v1",
		"kind: KubeSchedulerConfiguration",
		"leaderElection:",
		"  leaderElect: true",
		"clientConnection:",
		fmt.Sprintf("  kubeconfig: %q", p.conf("scheduler")),
		"  qps: " + clientQPS,
		"  burst: " + clientBurst,
		fmt.Sprintf("parallelism: %d", processors(scheduler)),
		"delayCacheUntilActive: true",
		"",
	}
	return os.WriteFile(p.schedulerConfig(), []byte(strings.Join(lines, "\n")), 0o600)
}
