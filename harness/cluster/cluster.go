// Package cluster says what the harness may ask of a cluster, whoever made it.
//
// Every cluster has a REST config and nodes; that is [Cluster]. The rest are
// capabilities, one small interface each, that a provider may or may not have.
// The planner asks a [Provider] for them by name before anything is started, so
// a missing one is said at plan time and never found half way:
//
//	if !provider.Has(cluster.CapPower) { return plan.Missing("powerOff", cluster.CapPower) }
//
// The package is imported by sim (which implements it) and by harness (which
// uses it), and itself imports neither.
package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
)

// Spec is the cluster that a scenario asks for, with every default filled in.
type Spec struct {
	// Name identifies the cluster in logs and names of things made for it. It is the run's id.
	Name string
	// KubernetesVersion is a minor ("v1.34": the newest patch the release store knows) or an exact version ("v1.34.4").
	KubernetesVersion string
	// Upgrades are the versions that the cluster is to be upgraded to, in order, each a minor or exact.
	Upgrades []string
	// ControlPlanes is the number of control plane nodes: odd, at least 1. They are named cp-1, cp-2, …
	ControlPlanes int
	// Workers is the number of worker nodes. They are named worker-1, worker-2, …
	Workers int
	// FeatureGates are those of every component, also when it has been upgraded.
	FeatureGates map[string]bool
	// RuntimeConfig says which APIs the API servers serve beside those that they serve by themselves, or not: "api/beta", "admissionregistration.k8s.io/v1beta1".
	RuntimeConfig map[string]bool
	// EncryptSecrets says that the API servers encrypt Secrets before they are stored, all with the same key, which [Encryption] can replace.
	EncryptSecrets bool
	// Certificates are how long they live, and more of them that is not kubeadm's default.
	Certificates Certificates
	// Disks says that every node is to have a disk of its own, which [Disks] can fill.
	Disks bool
	// Resumable says that the cluster is to be reopened when the process that made it is killed: [Reopener].
	Resumable bool
	// Dir is the run's cluster folder: component logs and the redacted kubeconfig go there.
	// It outlives the cluster, so nothing secret is written to it.
	Dir string
	// StateDir is a private folder for keys and data, which goes with the cluster: temporary, unless the cluster is resumable.
	StateDir string
	// Progress receives one human line per phase of the creation.
	Progress io.Writer
	// OnCommand is told of every command that was executed on a node, when it has ended; nil when nobody wants to know. It may be called from
	// several goroutines.
	OnCommand func(Command)
}

// Switches writes feature gates or APIs as a flag of a component takes them: "A=true,B=false", in order.
func Switches(on map[string]bool) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(on)) {
		list = append(list, fmt.Sprintf("%s=%t", name, on[name]))
	}
	return strings.Join(list, ",")
}

// Certificates are what a cluster's certificates are to be like. The zero value is kubeadm's default.
type Certificates struct {
	// Validity is how long certificates live, AuthorityValidity how long authorities do; 0 means kubeadm's one year and ten. What the controller manager signs lives no longer than
	// Validity either.
	Validity, AuthorityValidity time.Duration
	// FixedKubelets says that kubelets don't renew their client certificates: rotateCertificates is false.
	FixedKubelets bool
	// ServingRequests says that kubelets ask the cluster for their serving certificates in place of making them themselves: serverTLSBootstrap. Nobody approves that by itself.
	ServingRequests bool
	// Rehearsed says that steps look at certificates or renew them: kubelets have certificates of their own then, which hollow ones have not otherwise.
	Rehearsed bool
	// CopyAdmin says that admin.conf is copied to the administrator's own folder on the first control plane, as kubeadm init tells people to do.
	CopyAdmin bool
}

// Validate says what is wrong with a specification, all at once.
func (s Spec) Validate() error {
	var errs []error
	if s.ControlPlanes < 1 || s.ControlPlanes%2 == 0 {
		errs = append(errs, fmt.Errorf("%d control planes: want an odd number, so that etcd has a majority", s.ControlPlanes))
	}
	if s.Workers < 0 {
		errs = append(errs, fmt.Errorf("%d workers: want 0 or more", s.Workers))
	}
	if s.Dir == "" || s.StateDir == "" {
		errs = append(errs, errors.New("the cluster needs a folder for logs and one for its state"))
	}
	return errors.Join(errs...)
}

// Command is one command that was executed on a node: no shell is between.
type Command struct {
	// Node is where.
	Node string
	// Argv is the program and its arguments.
	Argv []string
	// Began is when it was started, Took how long it ran.
	Began time.Time
	Took  time.Duration
	// Output is the end of what it wrote to stdout and stderr, at most [OutputLimit] bytes of each.
	Stdout, Stderr string
	// Err says how it ended when that was not with exit status 0.
	Err error
}

// OutputLimit is how much of a command's output is kept, in bytes.
const OutputLimit = 8 << 10

// Role is what a node is for.
type Role string

// The roles that kubeadm knows.
const (
	ControlPlane Role = "control-plane"
	Worker       Role = "worker"
)

// Node is a machine of the cluster.
type Node struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
}

// APIServer is one API server, reached without the balancer.
type APIServer struct {
	// Node is the control plane node that it runs on.
	Node string
	// Config reaches this API server directly, as cluster administrator.
	Config *rest.Config
}

// ServerVersion asks an API server for its version, "v1.34.4". Discovery().ServerVersion does too, and takes no context.
func ServerVersion(ctx context.Context, server rest.Interface) (string, error) {
	raw, err := server.Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return "", err
	}
	var info version.Info
	err = json.Unmarshal(raw, &info)
	return info.GitVersion, err
}

// Cluster is what every provider gives.
type Cluster interface {
	// RESTConfig reaches the API through the balancer as cluster administrator. Client-side rate limits are off. The
	// caller may change its copy.
	RESTConfig() *rest.Config
	// APIServers lists every API server, ordered by node name.
	APIServers() []APIServer
	// Nodes lists the machines, control planes first, each group ordered by number.
	Nodes() []Node
	// Version is the exact version that the control plane was started with, for example "v1.34.4".
	Version() string
	// Close ends everything that Create started and waits until it is gone. It may be called more than once.
	Close(ctx context.Context) error
}

// Capability names an optional interface of a [Cluster].
type Capability string

// The capabilities, each with the interface that it stands for.
const (
	CapPower   Capability = "power"   // Power
	CapService Capability = "service" // ServiceClient
	CapKeep    Capability = "keep"    // Keeper
	// CapComponents is Components.
	CapComponents Capability = "components"
	// CapNetwork is Network.
	CapNetwork Capability = "network"
	// CapDisk is Disks.
	CapDisk Capability = "disk"
	// CapUpgrade is Upgrader.
	CapUpgrade Capability = "upgrade"
	// CapEtcd is Etcd.
	CapEtcd Capability = "etcd"
	// CapRestore is EtcdRestorer.
	CapRestore Capability = "restore"
	// CapManifests is Manifests.
	CapManifests Capability = "manifests"
	// CapEncryption is Encryption.
	CapEncryption Capability = "encryption"
	// CapCertificates is CertOperator.
	CapCertificates Capability = "certificates"
	// CapAuthority is AuthorityOperator.
	CapAuthority Capability = "authority"
	// CapPods is Pods.
	CapPods Capability = "pods"
	// CapReopen is Reopener, of the provider.
	CapReopen Capability = "reopen"
)

// Power switches machines off and on, the way a power cut does: nothing on the node gets to say goodbye.
type Power interface {
	// PowerOff cuts the node's power. On return nothing runs on it any more. What the cluster makes of it takes its own time.
	PowerOff(ctx context.Context, node string) error
	// PowerOn boots the node again with its disk as it was. It returns when the node has been told to start, not when it is Ready.
	PowerOn(ctx context.Context, node string) error
}

// Components are the programs of Kubernetes on the nodes, by their executables' names: etcd, kube-apiserver, kubelet, ….
type Components interface {
	// Kill kills a component (SIGKILL). On return that process is gone; whoever keeps it running starts another.
	Kill(ctx context.Context, node, component string) error
	// Pause stops a component in its tracks (SIGSTOP) until Resume: it is there, and does nothing.
	Pause(ctx context.Context, node, component string) error
	Resume(ctx context.Context, node, component string) error
}

// Network cuts nodes off from everything, and connects them again. What runs on them goes on.
type Network interface {
	CutOff(ctx context.Context, node string) error
	Reconnect(ctx context.Context, node string) error
}

// Disks fills the disks of nodes. Their clusters were made with Spec.Disks.
type Disks interface {
	// FillDisk leaves nothing free where etcd and the kubelet of the node write.
	FillDisk(ctx context.Context, node string) error
	FreeDisk(ctx context.Context, node string) error
}

// Manifests is a cluster whose control plane nodes have a folder of static pods' manifests, of which the kubelet runs every file whose name does not begin with a dot.
//
// https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
type Manifests interface {
	// Manifests lists the files in the folder that the node's kubelet reads, by name.
	Manifests(ctx context.Context, node string) ([]Manifest, error)
	// CopyManifest leaves a copy of a component's file beside it, with .bak after its name.
	CopyManifest(ctx context.Context, node, component string) error
}

// Manifest is a file of a static pod.
type Manifest struct {
	// File is its name, without the folder.
	File string
	// Pod is the namespace and name that it gives its pod, or "" when it holds none.
	Pod string
}

// Pods is a cluster whose pods are programs that really run, and that reach this machine.
type Pods interface {
	// LoadSeatrial gives the control plane nodes the image [SeatrialImage].
	LoadSeatrial(ctx context.Context) error
	// HostAddress is an IP address of this machine that pods with their node's network reach.
	HostAddress(ctx context.Context) (string, error)
}

// SeatrialImage is an image of the program that rehearses, for pods that run it. Nobody pulls it: imagePullPolicy is Never or IfNotPresent.
const SeatrialImage = "seatrial.dev/seatrial:local"

// Etcd is a cluster whose etcd members can be asked, each for itself.
type Etcd interface {
	// EtcdMembers lists the members, one on each control plane node, ordered by node.
	EtcdMembers(ctx context.Context) ([]EtcdMember, error)
}

// EtcdMember is how to reach a member.
type EtcdMember struct {
	// Node is the control plane node that it runs on.
	Node string
	// Endpoint is the URL of its client port.
	Endpoint string
	// TLS proves us to it, and it to us.
	TLS *tls.Config
}

// StaticPods are the components of control planes, which a kubelet runs for as long as their manifests are in its folder.
type StaticPods interface {
	// StopComponents ends components of a control plane node, and returns when they are gone: their manifests are moved out of the folder of static pods. Those that don't
	// run are none of its business.
	StopComponents(ctx context.Context, node string, components []string) error
	// StartComponents has those that were stopped started again, all when none is named. It returns when they have been told to, not when they answer.
	StartComponents(ctx context.Context, node string, components ...string) error
	// Started says since when each component of a control plane node runs, at the earliest, and how much later that may be. One that doesn't run is left out.
	Started(ctx context.Context, node string) (since map[string]time.Time, within time.Duration, err error)
	// Settled is told that what was stopped on a node and started again works: a component that ends later has ended unasked (Restarter).
	Settled(node string) error
}

// CertOperator is a cluster whose certificates can be looked at where they are, and renewed.
//
// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/
type CertOperator interface {
	StaticPods

	// CertificateFiles reads what a node has in the folders where kubeadm and the kubelet keep certificates, keys and kubeconfigs. Keys are among them, so it stays in memory.
	CertificateFiles(ctx context.Context, node string) ([]CertificateFile, error)
	// ServedCertificates shakes hands with everything on the node that serves TLS.
	ServedCertificates(ctx context.Context, node string) ([]ServedCertificate, error)
	// CheckExpiration is when certificates and authorities of a control plane node end by what kubeadm certs check-expiration says, by its names for them; empty where kubeadm does not run.
	CheckExpiration(ctx context.Context, node string) (map[string]time.Time, error)
	// RenewCertificates issues certificates of a control plane node anew: kubeadm certs renew, with the names that it has for them ("apiserver", "admin.conf", "all"). Nothing is restarted.
	RenewCertificates(ctx context.Context, node string, names []string) error
	// RestartKubelet restarts the kubelet of a node. What it runs goes on.
	RestartKubelet(ctx context.Context, node string) error
}

// AuthorityOperator is a cluster whose authority for the API and its clients can be replaced while it works, in the portions that the runbook has.
//
// https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/
type AuthorityOperator interface {
	CertOperator

	// MakeAuthority makes a new authority in a folder of a control plane node, ca.crt and ca.key: kubeadm init phase certs ca --cert-dir. One that is there is kept.
	MakeAuthority(ctx context.Context, node, dir string) error
	// WriteCertificateFiles writes files where CertificateFiles reads them. Each is the old one or the new at any time.
	WriteCertificateFiles(ctx context.Context, node string, files []CertificateFile) error
	// RemoveCertificateDirs removes folders, with what is in them. It is no error when there is none.
	RemoveCertificateDirs(ctx context.Context, node string, dirs ...string) error
	// SignWith has the controller manager of a control plane node sign with the authority in a folder, from its next start on: --cluster-signing-cert-file and --cluster-signing-key-file.
	SignWith(ctx context.Context, node, dir string) error
	// RenewKubelet gives the kubelet of a node a client certificate of the authority that signs on the first control plane, and restarts it.
	// https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/troubleshooting-kubeadm/#kubelet-client-cert
	RenewKubelet(ctx context.Context, node string) error
	// Follow has our own clients trust what the first control plane trusts, and come with a certificate of the authority that signs there.
	Follow(ctx context.Context) error
}

// TLS is what a client with a configuration says in a handshake at this moment: a provider's own clients may follow the cluster's authority.
func TLS(config *rest.Config) (*tls.Config, error) {
	if config.Transport != nil {
		return utilnet.TLSClientConfig(config.Transport)
	}
	return rest.TLSConfigFor(config)
}

// CertificateFile is a file on a node.
type CertificateFile struct {
	// Path is where kubeadm or the kubelet has it: /etc/kubernetes/pki/apiserver.crt, whatever the provider's own folder is.
	Path string
	// Mode is who may read and write it.
	Mode fs.FileMode
	// Written is when it was written last, by the node's clock.
	Written time.Time
	Content []byte
}

// ServedCertificate is what a component showed in a handshake.
type ServedCertificate struct {
	// Component serves it: "kube-apiserver", "etcd", "etcd-peer" for etcd's port for its peers, "kubelet", ….
	Component string
	// Chain is what it showed, its own certificate first, in DER; empty when it showed none.
	Chain [][]byte
	// Err is why it showed none.
	Err error
}

// EtcdRestorer is a cluster whose etcd can be backed up, lost and restored, in the portions that the runbook has.
//
// https://etcd.io/docs/v3.6/op-guide/recovery/
type EtcdRestorer interface {
	StaticPods

	// SaveSnapshot has the node's member write a snapshot to a file on the node, etcdctl snapshot save, and copies it to a file on this machine, for its owner alone. It returns where it
	// is on the node; with leave it stays there.
	SaveSnapshot(ctx context.Context, node, file string, leave bool) (onNode string, err error)
	// CopyDatabase copies the database file of the node's member, which may write to it meanwhile, to a file on this machine, for its owner alone. That is no snapshot, and people take it for one.
	CopyDatabase(ctx context.Context, node, file string) error
	// RestoreMember makes the data of the node's member from a snapshot, and puts it where the old data was, which is kept: etcdutl snapshot restore. The member doesn't run meanwhile. A call
	// that is made again, after one that was killed, keeps what the first one found.
	RestoreMember(ctx context.Context, node, file string, how EtcdRestore) error
	// KeptData looks where the old data is that a restore with that token kept, and how large its database is, in bytes: 0 when none is there.
	KeptData(ctx context.Context, node, token string) (folder string, size int64, err error)
	// LoseMember destroys the data of the node's member, which doesn't start again before it is restored.
	LoseMember(ctx context.Context, node string) error
}

// EtcdRestore is how data is made from a snapshot.
type EtcdRestore struct {
	// Token makes the ids of the new cluster and its members others than any before: --initial-cluster-token. The folder of the old data has its name.
	Token string
	// BumpRevision is by how much the revision goes on beyond the snapshot's, so that it doesn't go back for whoever watches: --bump-revision. 0 leaves it.
	BumpRevision uint64
	// MarkCompacted tells whoever watches, where the revision is bumped, to list anew: --mark-compacted.
	MarkCompacted bool
	// RemoveOld removes the old data before the new is made, instead of keeping it.
	RemoveOld bool
}

// Upgrader puts other versions of Kubernetes on nodes, in the portions that kubeadm's procedure has. A version is one of Spec.Upgrades. When the node does not
// take it, the error is an [*UpgradeError]. A call that is made again finds its work done.
//
// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/
type Upgrader interface {
	Kubeadm

	// Stage brings the version's programs to the node without installing any, and says which version exactly that is.
	Stage(ctx context.Context, node, version string) (exact string, err error)
	// CheckFlags starts the version's programs with the flags that those on the node run with now, only so far that they read them, and says what each made of that.
	CheckFlags(ctx context.Context, node, version string) ([]FlagCheck, error)
	// UpgradeKubelet installs the node's kubelet and kubectl and restarts the kubelet.
	UpgradeKubelet(ctx context.Context, node, version string) error
}

// Kubeadm is what kubeadm does in an upgrade, or the provider in its place. It is installed on a node before it works there.
type Kubeadm interface {
	// InstallKubeadm installs the node's kubeadm, and says which version it says it is.
	InstallKubeadm(ctx context.Context, node, version string) (exact string, err error)
	// CheckUpgrade asks the first control plane whether the cluster can be upgraded: kubeadm upgrade plan.
	CheckUpgrade(ctx context.Context, node, version string) error
	// UpgradeControlPlane replaces the components of a control plane node and returns when they answer: on the first kubeadm upgrade apply, on others
	// kubeadm upgrade node. The node's kubelet stays as it is.
	UpgradeControlPlane(ctx context.Context, node, version string, how ControlPlaneUpgrade) error
	// UpgradeWorker brings a worker the version's configuration of its kubelet: kubeadm upgrade node.
	UpgradeWorker(ctx context.Context, node, version string) error
}

// ControlPlaneUpgrade is how the components of a control plane are upgraded.
type ControlPlaneUpgrade struct {
	// First says that no control plane has the version yet: kubeadm upgrade apply, and not node.
	First bool `json:"first"`
	// KeepCertificates leaves the certificates as they are: --certificate-renewal=false.
	KeepCertificates bool `json:"keepCertificates,omitempty"`
}

// FlagCheck is what a program made of flags.
type FlagCheck struct {
	// Component is the program, by its executable's name.
	Component string
	// Refusal is why it would not start with them, in its own words; "" when it would.
	Refusal string
}

// UpgradeError says that a node did not take a version.
type UpgradeError struct {
	Node, Version string
	// Component is what did not come up, or "" when it did not come to that.
	Component string
	// Err says why, with the last lines of what was said.
	Err error
}

func (e *UpgradeError) Error() string {
	what := "node " + e.Node
	if e.Component != "" {
		what = e.Component + " of node " + e.Node
	}
	return fmt.Sprintf("upgrade %s to %s: %v", what, e.Version, e.Err)
}

func (e *UpgradeError) Unwrap() error { return e.Err }

// ServiceClient is a client inside the cluster.
type ServiceClient interface {
	// Request makes one request to a port of a Service as a pod would: over the cluster IP and whatever
	// endpoint kube-proxy's rules choose. It returns the pod that answered. The error says why nobody did.
	Request(ctx context.Context, service ServicePort) (pod string, err error)
}

// Keeper is a cluster that can outlive us, so that a person can look at it.
type Keeper interface {
	// Keep leaves the cluster as it is in place of Close, after collecting its logs. It returns, a line each, how to reach it and how to delete it.
	Keep(ctx context.Context) (instructions []string, err error)
}

// ServicePort is one port of a Service.
type ServicePort struct {
	Namespace, Name string
	Port            int32
}

// Restarter is a cluster that brings control plane components back when they end unasked, as a kubelet does with static
// pods, and remembers it.
type Restarter interface {
	// Restarts lists what ended since the cluster was ready, oldest first.
	Restarts(ctx context.Context) ([]Restart, error)
}

// Restart is one unasked end of a component.
type Restart struct {
	// Time is when it was seen.
	Time time.Time
	// Node and Component say who: "cp-2", "kube-scheduler".
	Node, Component string
	// Err says how it ended, with its last lines.
	Err error
}

// Provider makes clusters.
type Provider interface {
	// Name is what --provider takes: "embedded" or "kind".
	Name() string
	// Has tells whether clusters of this provider implement the capability. It answers without a cluster.
	Has(Capability) bool
	// Settings lists, a sentence each, what makes its clusters differ from production on purpose, so that every report says it.
	Settings() []string
	// Prepare obtains what a cluster of this version and shape is made of. The first time may take many minutes; spec.Progress gets a line now and then.
	Prepare(ctx context.Context, spec Spec) error
	// Create starts a cluster and returns when it is ready: every API server answers /readyz, the default service account
	// is there, the controller manager and the scheduler hold their leases, and every node is Ready. On error nothing is left running.
	Create(ctx context.Context, spec Spec) (Cluster, error)
}

// Reopener is a provider whose clusters come back when the process that made them was killed, and everything that ran with it.
type Reopener interface {
	// Reopen starts the cluster that was made with spec from what is in spec.StateDir, and returns when it is ready: the versions, certificates and data are those that it
	// had. Faults that were under way are over, and every node has power. On error the cluster is as it was, to be reopened later; the error wraps [ErrGone] when there is none any more.
	Reopen(ctx context.Context, spec Spec) (Cluster, error)
}

// ErrGone is wrapped when a cluster that is to be reopened was removed.
var ErrGone = errors.New("there is no such cluster any more")

// PrepareTimeout is how long obtaining what a cluster is made of may take: building a Kubernetes release on two cores takes up to a quarter of an hour.
const PrepareTimeout = time.Hour

// ReadyTimeout is how long Create waits for a cluster before it gives up and says what it last saw. A provider may be less patient: three control planes
// in containers took two minutes on two idle cores, as processes three seconds.
const ReadyTimeout = 10 * time.Minute

// CloseTimeout is how long removing a cluster, with the collection of its logs, may take.
const CloseTimeout = 3 * time.Minute
