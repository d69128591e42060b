// Package scenario is the file format: what a rehearsal is to be, as a person writes it.
//
//	apiVersion: seatrial.dev/v1alpha1
//	kind: Scenario
//	metadata: {name: drain-web}
//	spec:
//	  cluster: {kubernetesVersion: v1.34, workers: 3}
//	  objects: [{file: web.yaml}]
//	  steps:
//	  - id: drain
//	    drain: {node: worker-1, ignoreDaemonSets: true}
//
// A scenario is untrusted input. Decoding is strict and reports every error at
// once, each with file:line:column; there are no templates and no shell in the
// format, and files are read from the scenario's own folder only. The JSON Schema and the
// reference in docs/ are made from the types in this file.
package scenario

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// The values of apiVersion and kind.
const (
	APIVersion = "seatrial.dev/v1alpha1"
	Kind       = "Scenario"
)

// Scenario is the whole file.
type Scenario struct {
	APIVersion string   `json:"apiVersion" jsonschema:"required,enum=seatrial.dev/v1alpha1" doc:"Version of the format."`
	Kind       string   `json:"kind" jsonschema:"required,enum=Scenario" doc:"Always Scenario."`
	Metadata   Metadata `json:"metadata" jsonschema:"required" doc:"Who this is."`
	Spec       Spec     `json:"spec" jsonschema:"required" doc:"What is rehearsed."`
}

// Metadata names a scenario.
type Metadata struct {
	Name        string `json:"name" jsonschema:"required" doc:"Name of the scenario: a DNS label."`
	Description string `json:"description,omitempty" doc:"What the scenario shows, in a sentence or two."`
}

// Spec is what is rehearsed.
type Spec struct {
	Cluster  Cluster      `json:"cluster,omitempty" doc:"The cluster that is made for the rehearsal."`
	Objects  []ObjectFile `json:"objects,omitempty" doc:"Kubernetes objects, applied in this order before the first step."`
	Probes   []Probe      `json:"probes,omitempty" doc:"What clients do all the while."`
	Steps    []Step       `json:"steps" jsonschema:"required,minItems=1" doc:"What is done, in order."`
	Faults   []Fault      `json:"faults,omitempty" doc:"What goes wrong meanwhile, at the operations of the plan."`
	Policies Policies     `json:"policies,omitempty" doc:"How the policies judge this scenario."`
	Expect   Expectation  `json:"expect,omitempty" doc:"What seatrial test compares the outcome with."`
}

// Cluster is the shape of the cluster.
type Cluster struct {
	KubernetesVersion string `json:"kubernetesVersion,omitempty" jsonschema:"default=v1.34" doc:"A minor (v1.34: the newest patch that the release store knows) or an exact version (v1.34.4)."`
	ControlPlanes     int    `json:"controlPlanes,omitempty" jsonschema:"default=1,minimum=1" doc:"Number of control plane nodes, odd. They are named cp-1, cp-2, …"`
	Workers           int    `json:"workers,omitempty" jsonschema:"default=2,minimum=0" doc:"Number of worker nodes. They are named worker-1, worker-2, …"`

	FeatureGates  map[string]bool `json:"featureGates,omitempty" doc:"Feature gates of every component, which an upgrade leaves as they are: {ElasticIndexedJob: true}."`
	RuntimeConfig map[string]bool `json:"runtimeConfig,omitempty" doc:"APIs that the API servers serve or don't, which an upgrade leaves as they are: {admissionregistration.k8s.io/v1beta1: true}."`

	EncryptSecrets bool `json:"encryptSecrets,omitempty" doc:"Have the API servers encrypt Secrets before they are stored (--encryption-provider-config, secretbox), with a key that is made for the cluster."`

	Certificates *Certificates `json:"certificates,omitempty" doc:"Certificates that are not as kubeadm makes them by default."`
}

// Certificates are what the certificates of a cluster are to be like.
//
// https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/#kubeadm-k8s-io-v1beta4-ClusterConfiguration
type Certificates struct {
	Validity          Duration `json:"validity,omitempty" doc:"How long certificates live (certificateValidityPeriod), those too that the controller manager signs for kubelets: at least 2m. Absent means kubeadm's year."`
	AuthorityValidity Duration `json:"authorityValidity,omitempty" doc:"How long authorities live (caCertificateValidityPeriod). Absent means kubeadm's ten years."`
	KubeletRotation   *bool    `json:"kubeletRotation,omitempty" jsonschema:"default=true" doc:"Whether kubelets renew their client certificates (rotateCertificates); that they don't a policy finds."`
	ServingRequests   bool     `json:"servingRequests,omitempty" doc:"Have the kubelets ask the cluster for their serving certificates (serverTLSBootstrap), which nobody approves by itself; that a policy finds."`
	CopyAdminConf     bool     `json:"copyAdminConf,omitempty" doc:"Copy admin.conf to the administrator's .kube/config on the first control plane, as kubeadm init tells people to do. Nothing renews the copy."`
}

// FixedKubelets says that kubelets don't renew their client certificates.
func (c *Certificates) FixedKubelets() bool { return c.KubeletRotation != nil && !*c.KubeletRotation }

// ObjectFile is a file of Kubernetes manifests.
type ObjectFile struct {
	File  string `json:"file" jsonschema:"required" doc:"YAML or JSON file in the scenario's folder, one or more documents."`
	Await *bool  `json:"await,omitempty" jsonschema:"default=true" doc:"Wait until every workload in the file has rolled out. Set it to false for workloads that are meant not to come up."`
}

// Awaits tells whether the workloads of the file are awaited.
func (f ObjectFile) Awaits() bool { return f.Await == nil || *f.Await }

// Probe is a client that asks the same thing again and again.
type Probe struct {
	Name     string   `json:"name" jsonschema:"required" doc:"Name of the probe: a DNS label."`
	Service  *Service `json:"service,omitempty" jsonschema:"required" doc:"A Service that is asked from inside the cluster."`
	Interval Duration `json:"interval,omitempty" jsonschema:"default=200ms" doc:"Time between two requests, each of which is given a second, or this when it is longer: what lasts less can't be told from a slow answer."`
}

// Service is a port of a Kubernetes Service.
type Service struct {
	Namespace string `json:"namespace,omitempty" jsonschema:"default=default" doc:"Namespace of the Service."`
	Name      string `json:"name" jsonschema:"required" doc:"Name of the Service."`
	Port      int32  `json:"port" jsonschema:"required,minimum=1,maximum=65535" doc:"Port of the Service."`
}

// Step is one thing that is done: an id and exactly one of the kinds.
type Step struct {
	ID           string        `json:"id" jsonschema:"required" doc:"Name of the step: a DNS label, unique in the scenario."`
	Apply        *Apply        `json:"apply,omitempty" doc:"Apply manifests, as kubectl apply --server-side does."`
	Wait         *Wait         `json:"wait,omitempty" doc:"Wait for an object, as kubectl wait and kubectl rollout status do, or for a time."`
	Cordon       *Cordon       `json:"cordon,omitempty" doc:"Mark a node unschedulable, as kubectl cordon does, and wait until the controller manager has put its taint on it."`
	Drain        *Drain        `json:"drain,omitempty" doc:"Cordon a node and evict its pods, as kubectl drain does."`
	Uncordon     *Uncordon     `json:"uncordon,omitempty" doc:"Mark a node schedulable, as kubectl uncordon does."`
	Scale        *Scale        `json:"scale,omitempty" doc:"Set the replicas of a workload, as kubectl scale does."`
	Delete       *Delete       `json:"delete,omitempty" doc:"Delete an object, as kubectl delete does, and wait until it is gone with what it owns, or what is in it."`
	Upgrade      *Upgrade      `json:"upgrade,omitempty" doc:"Upgrade the cluster as kubeadm does it: the control planes one at a time, then each worker cordoned, drained, upgraded and uncordoned."`
	UpgradeNode  *UpgradeNode  `json:"upgradeNode,omitempty" doc:"Upgrade one node and do nothing else: no drain, and no look at whose turn it is. For runbooks that go their own way."`
	Backup       *Backup       `json:"backup,omitempty" doc:"Take a snapshot of etcd from a member that has everything, as etcdctl snapshot save does, and bring it out of the cluster."`
	DamageBackup *DamageBackup `json:"damageBackup,omitempty" doc:"Damage a backup where it lies, as a disk or a broken transfer does."`
	VerifyBackup *VerifyBackup `json:"verifyBackup,omitempty" doc:"Prove a backup: look at its hash, restore it into an etcd that is thrown away, and compare what is there then with what was taken."`
	LoseEtcd     *LoseEtcd     `json:"loseEtcd,omitempty" doc:"Destroy the data of etcd members, as a disk does that dies. They don't start again before they are restored."`
	Restore      *Restore      `json:"restore,omitempty" doc:"Restore etcd from a backup: the control planes stopped, each member's data made from the snapshot, everything started, and waited until the cluster works."`

	CheckCertificates *CheckCertificates `json:"checkCertificates,omitempty" doc:"Look at every certificate where it really is: on disk, in kubeconfigs, served, loaded."`
	RenewCertificates *RenewCertificates `json:"renewCertificates,omitempty" doc:"Renew certificates on the control planes, as kubeadm certs renew does, and restart what has to load them, one control plane at a time."`
	RotateCA          *RotateCA          `json:"rotateCA,omitempty" doc:"Replace the authority of the API and its clients while the cluster works: both trusted together, everything issued anew, the old one removed."`
	WaitUntilExpired  *WaitUntilExpired  `json:"waitUntilExpired,omitempty" doc:"Wait until the certificates that the cluster had when the steps began have expired, and go on watching for a while. The cluster's certificates have a validity of at most an hour."`

	PowerOff *PowerOff `json:"powerOff,omitempty" doc:"Cut a node's power: nothing on it gets to say goodbye."`
	PowerOn  *PowerOn  `json:"powerOn,omitempty" doc:"Boot a node again and wait until it is Ready, and its DaemonSets' and static pods with it."`
}

// Apply is the step apply.
type Apply struct {
	File    string   `json:"file" jsonschema:"required" doc:"YAML or JSON file in the scenario's folder, one or more documents."`
	Await   *bool    `json:"await,omitempty" jsonschema:"default=true" doc:"Wait until every workload in the file has rolled out."`
	Timeout Duration `json:"timeout,omitempty" jsonschema:"default=2m" doc:"How long to wait for the workloads."`
}

// Wait is the step wait: either an object and a state, or a duration.
type Wait struct {
	Object    string   `json:"object,omitempty" doc:"Object to wait for, as kind/name: deployment/web, pod/web-0, node/worker-1."`
	Namespace string   `json:"namespace,omitempty" jsonschema:"default=default" doc:"Namespace of the object; ignored for nodes."`
	For       string   `json:"for,omitempty" doc:"rollout, delete, condition=NAME[=VALUE] (VALUE is True when left out), or jsonpath={PATH}=VALUE, as kubectl wait takes them."`
	Timeout   Duration `json:"timeout,omitempty" jsonschema:"default=2m" doc:"How long to wait for the object."`
	Duration  Duration `json:"duration,omitempty" doc:"Let this much time pass instead of waiting for an object."`
}

// Cordon is the step cordon.
type Cordon struct {
	Node string `json:"node" jsonschema:"required" doc:"Node to mark unschedulable."`
}

// Uncordon is the step uncordon.
type Uncordon struct {
	Node string `json:"node" jsonschema:"required" doc:"Node to mark schedulable."`
}

// Drain is the step drain, with the options of kubectl drain.
//
// https://kubernetes.io/docs/reference/kubectl/generated/kubectl_drain/
type Drain struct {
	Node string `json:"node" jsonschema:"required" doc:"Node to drain."`
	DrainOptions
}

// DrainOptions are the options of kubectl drain.
type DrainOptions struct {
	IgnoreDaemonSets   bool     `json:"ignoreDaemonSets,omitempty" doc:"--ignore-daemonsets: leave pods of DaemonSets alone instead of refusing."`
	DeleteEmptyDirData bool     `json:"deleteEmptyDirData,omitempty" doc:"--delete-emptydir-data: go on although pods use emptyDir, whose data is lost."`
	Timeout            Duration `json:"timeout,omitempty" jsonschema:"default=5m" doc:"--timeout: give up after this time."`
	GracePeriodSeconds *int     `json:"gracePeriodSeconds,omitempty" jsonschema:"minimum=-1" doc:"--grace-period: seconds each pod is given; -1 or absent takes the pod's own."`
	Force              bool     `json:"force,omitempty" doc:"--force: also delete pods that no controller brings back."`
	DisableEviction    bool     `json:"disableEviction,omitempty" doc:"--disable-eviction: delete instead of evicting, which bypasses every PodDisruptionBudget."`
	PodSelector        string   `json:"podSelector,omitempty" doc:"--pod-selector: drain only the pods with these labels."`
	RetryDelay         Duration `json:"retryDelay,omitempty" jsonschema:"default=5s" doc:"How long to wait after an eviction that a budget refuses before it is tried again. kubectl drain waits 5 s and has no option for it; a program that drains may."`
}

// Scale is the step scale.
type Scale struct {
	Object    string   `json:"object" jsonschema:"required" doc:"Workload to scale, as kind/name: deployment/web or statefulset/db."`
	Namespace string   `json:"namespace,omitempty" jsonschema:"default=default" doc:"Namespace of the workload."`
	Replicas  *int32   `json:"replicas" jsonschema:"required,minimum=0" doc:"Number of replicas."`
	Timeout   Duration `json:"timeout,omitempty" jsonschema:"default=2m" doc:"How long to wait until the workload has that many ready replicas."`
}

// Delete is the step delete.
type Delete struct {
	Object    string   `json:"object" jsonschema:"required" doc:"Object to delete, as kind/name: a namespace, deployment, statefulset, daemonset, pod, service, configmap or secret."`
	Namespace string   `json:"namespace,omitempty" jsonschema:"default=default" doc:"Namespace of the object; ignored for namespaces."`
	Timeout   Duration `json:"timeout,omitempty" jsonschema:"default=2m" doc:"How long to wait until it is gone."`
}

// The ways in which an upgrade over several minors goes.
const (
	HopsThrough = "through" // a minor at a time
	HopsNever   = "never"   // refused before anything is started
	HopsSkip    = "skip"    // in one go, which kubeadm does not support
)

// Upgrade is the step upgrade.
//
// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/
type Upgrade struct {
	To            string               `json:"to" jsonschema:"required" doc:"A minor (v1.34: the newest patch that the release store knows) or an exact version (v1.34.4)."`
	Hops          string               `json:"hops,omitempty" jsonschema:"default=through,enum=through,enum=never,enum=skip" doc:"What to do when the target is several minors on: through goes a minor at a time, never refuses, skip goes there in one go, which a policy refuses."`
	Drain         DrainOptions         `json:"drain,omitempty" doc:"How each worker is drained, with the options of kubectl drain. DaemonSets are always ignored, since every node has some."`
	ControlPlanes UpgradeControlPlanes `json:"controlPlanes,omitempty" doc:"How the control planes are upgraded."`
	Workers       UpgradeWorkers       `json:"workers,omitempty" doc:"How the workers are upgraded."`
	Timeout       Duration             `json:"timeout,omitempty" jsonschema:"default=10m" doc:"How long each command that upgrades a node may take, and each wait for health after it."`
}

// UpgradeControlPlanes says how the control planes are upgraded.
type UpgradeControlPlanes struct {
	Drain            bool `json:"drain,omitempty" doc:"Drain each control plane node before its kubelet is upgraded."`
	KeepCertificates bool `json:"keepCertificates,omitempty" doc:"Leave their certificates as they are (kubeadm upgrade --certificate-renewal=false), which a policy finds."`
	MoveLeader       bool `json:"moveLeader,omitempty" doc:"Have a node's member of etcd hand on the leadership, if it has it, before the node is worked on (etcdctl move-leader). kubeadm does not: it ends the leader's etcd, and no API server is ready until the others have elected one of them. Nothing where there is one control plane."`
	// Kubelets is when their kubelets are upgraded.
	Kubelets string `json:"kubelets,omitempty" jsonschema:"default=last,enum=last,enum=each" doc:"last upgrades their kubelets when all control planes have the new version, so that none is newer than the oldest API server; each does it right after its own control plane."`
}

// When the kubelets of control planes are upgraded.
const (
	KubeletsLast = "last"
	KubeletsEach = "each"
)

// UpgradeWorkers says how the workers are upgraded.
type UpgradeWorkers struct {
	Parallel       int      `json:"parallel,omitempty" jsonschema:"default=1,minimum=1" doc:"How many are worked on at a time."`
	MaxUnavailable int      `json:"maxUnavailable,omitempty" jsonschema:"minimum=1" doc:"How many may be cordoned or not Ready at a time; more is a finding. Absent means as many as parallel."`
	Order          []string `json:"order,omitempty" doc:"Workers that come first, in this order; the others follow in the order of their numbers."`
}

// UpgradeNode is the step upgradeNode.
type UpgradeNode struct {
	Node    string   `json:"node" jsonschema:"required" doc:"Node to upgrade."`
	To      string   `json:"to" jsonschema:"required" doc:"A minor or an exact version, as in upgrade."`
	Timeout Duration `json:"timeout,omitempty" jsonschema:"default=10m" doc:"How long each command that upgrades the node may take."`
}

// Where a backup is kept.
const (
	KeptHere          = "here"          // on the machine that seatrial runs on
	KeptObjectStorage = "objectStorage" // in object storage; only its manifest stays here
	KeptNode          = "node"          // on the node that it was taken on; the rehearsal works with a copy of it here
)

// Backup is the step backup.
//
// https://etcd.io/docs/v3.6/op-guide/recovery/#snapshotting-the-keyspace
type Backup struct {
	Node       string   `json:"node,omitempty" doc:"Control plane whose member it is taken from. Absent means one that has all that the others have, and rather one that is not the leader."`
	Unasked    bool     `json:"unasked,omitempty" doc:"Take it from node without asking the members whether it has what the others have, as etcdctl does, which a policy finds when it hasn't."`
	To         string   `json:"to,omitempty" jsonschema:"default=here,enum=here,enum=objectStorage,enum=node" doc:"Where it is kept: here is the machine that seatrial runs on, objectStorage an S3-compatible store of the rehearsal, from which later steps get it, node is the control plane that it was taken on, which a policy finds; later steps read a copy that the rehearsal made, so they work although the node is lost."`
	CronJob    *CronJob `json:"cronJob,omitempty" doc:"Have it taken by a CronJob of the scenario's objects that runs seatrial backup take. It is kept in objectStorage then, and without more of the other fields."`
	WithoutPKI bool     `json:"withoutPKI,omitempty" doc:"Leave out the certificate authorities and the keys that sign service account tokens, which are kept beside the snapshot: etcd has none of them. A policy finds it."`
	Timeout    Duration `json:"timeout,omitempty" jsonschema:"default=5m" doc:"How long it may take."`
}

// CronJob is who takes backups in the cluster. One Job of it is started at once, as kubectl create job --from does; what it puts into object storage is the backup.
type CronJob struct {
	Name    string `json:"name" jsonschema:"required" doc:"NAMESPACE/NAME of the CronJob. When it starts Jobs by itself is looked at by a policy; the Job of the rehearsal is started at once."`
	Storage string `json:"storage" jsonschema:"required" doc:"Name of the Secret in that namespace from which its containers have the object storage, by envFrom. The step makes it, with AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the rehearsal's own store, and its bucket as BUCKET."`
}

// The ways in which a backup is damaged.
const (
	DamageTruncated  = "truncated"  // its end is missing
	DamageBitFlipped = "bitFlipped" // one bit in the middle is another
	DamageDatabase   = "database"   // it is the member's database file, copied while etcd runs
)

// DamageBackup is the step damageBackup.
type DamageBackup struct {
	Backup string `json:"backup" jsonschema:"required" doc:"Id of the step that took it."`
	How    string `json:"how" jsonschema:"required,enum=truncated,enum=bitFlipped,enum=database" doc:"truncated cuts a quarter off its end, bitFlipped turns one bit in its middle, database replaces it by a copy of the database file of the member that it was taken from, which has no hash."`
}

// VerifyBackup is the step verifyBackup.
type VerifyBackup struct {
	Backup  string   `json:"backup" jsonschema:"required" doc:"Id of the step that took it."`
	Timeout Duration `json:"timeout,omitempty" jsonschema:"default=5m" doc:"How long it may take."`
}

// LoseEtcd is the step loseEtcd.
type LoseEtcd struct {
	Nodes []string `json:"nodes,omitempty" doc:"Control planes whose members lose their data. Absent means all."`
}

// Restore is the step restore.
//
// https://etcd.io/docs/v3.6/op-guide/recovery/#restoring-a-cluster
type Restore struct {
	Backup        string   `json:"backup" jsonschema:"required" doc:"Id of the step that took the backup."`
	Nodes         []string `json:"nodes,omitempty" doc:"Control planes whose members are restored. Absent means all; fewer is what a policy finds."`
	Stop          []string `json:"stop,omitempty" doc:"Components that are stopped on every control plane meanwhile, etcd among them. Absent means etcd, kube-apiserver, kube-controller-manager and kube-scheduler. Those that go on keep what they remember of the time before, which a policy finds."`
	Unchecked     bool     `json:"unchecked,omitempty" doc:"Don't look whether the backup is whole before anything is stopped or replaced, which a policy finds."`
	RemoveOld     bool     `json:"removeOld,omitempty" doc:"Remove the data that the members had before it is known whether the restore goes well, instead of keeping it, which a policy finds."`
	BumpRevision  *int64   `json:"bumpRevision,omitempty" jsonschema:"default=1000000000,minimum=0" doc:"etcdutl snapshot restore --bump-revision: the revision goes on beyond all that clients have seen, so that their watches don't wait for what was there before. 0 leaves it out, which a policy finds."`
	MarkCompacted *bool    `json:"markCompacted,omitempty" jsonschema:"default=true" doc:"etcdutl snapshot restore --mark-compacted, with bumpRevision: clients that go on from what they have seen are told to list anew."`
	NewKey        bool     `json:"newKey,omitempty" doc:"Give the API servers another encryption key before they start, as where the old one was not backed up, which a policy finds. The cluster has encryptSecrets."`
	Timeout       Duration `json:"timeout,omitempty" jsonschema:"default=5m" doc:"How long each part of it may take."`
}

// CheckCertificates is the step checkCertificates.
type CheckCertificates struct {
	Timeout Duration `json:"timeout,omitempty" jsonschema:"default=2m" doc:"How long it may take."`
}

// What is restarted when certificates were renewed.
const (
	RestartStaticPods = "staticPods" // the components of the control plane
	RestartKubelet    = "kubelet"    // the kubelet, which restarts none of them
	RestartNone       = "none"
)

// CertificateNames are those that kubeadm certs renew takes; "all" are all others.
//
// https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-certs/
var CertificateNames = []string{
	"all", "admin.conf", "apiserver", "apiserver-etcd-client", "apiserver-kubelet-client", "controller-manager.conf", "etcd-healthcheck-client", "etcd-peer", "etcd-server",
	"front-proxy-client", "scheduler.conf", "super-admin.conf",
}

// RenewCertificates is the step renewCertificates.
//
// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/#manual-certificate-renewal
type RenewCertificates struct {
	Names      []string `json:"names,omitempty" doc:"Names as kubeadm certs renew takes them: all, apiserver, etcd-server, admin.conf, … Absent means all."`
	Nodes      []string `json:"nodes,omitempty" doc:"Control planes whose certificates are renewed, in this order. Absent means all."`
	Restart    string   `json:"restart,omitempty" jsonschema:"default=staticPods,enum=staticPods,enum=kubelet,enum=none" doc:"What is restarted afterwards: staticPods are the components of the control plane, by moving their manifests out of the kubelet's folder and back; kubelet restarts the kubelet, and none of them with it; none restarts nothing. Those that read their certificate once go on with the old one, which a policy finds."`
	AtOnce     bool     `json:"atOnce,omitempty" doc:"Restart all control planes at the same time instead of one after the other, which a policy finds."`
	MoveLeader bool     `json:"moveLeader,omitempty" doc:"Have a node's member of etcd hand on the leadership, if it has it, before it is restarted (etcdctl move-leader). Nothing where there is one control plane."`
	Timeout    Duration `json:"timeout,omitempty" jsonschema:"default=5m" doc:"How long each part of it may take."`
}

// RotateCA is the step rotateCA.
//
// https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/
type RotateCA struct {
	Bundle  *bool    `json:"bundle,omitempty" jsonschema:"default=true" doc:"Whether the old and the new authority are trusted together for a while. Without that the control planes change over to the new one, and whoever trusts only the old, or was signed by it, is left out, which policies find."`
	Timeout Duration `json:"timeout,omitempty" jsonschema:"default=5m" doc:"How long each part of it may take."`
}

// WaitUntilExpired is the step waitUntilExpired.
type WaitUntilExpired struct {
	Watch Duration `json:"watch,omitempty" jsonschema:"default=30s" doc:"How long to go on watching afterwards, before the certificates are looked at again."`
}

// PowerOff is the step powerOff.
type PowerOff struct {
	Node string `json:"node" jsonschema:"required" doc:"Node whose power is cut."`
}

// PowerOn is the step powerOn.
type PowerOn struct {
	Node    string   `json:"node" jsonschema:"required" doc:"Node that is booted."`
	Timeout Duration `json:"timeout,omitempty" jsonschema:"default=2m" doc:"How long to wait until the node is back."`
}

// Fault is one thing that goes wrong at an operation of the plan: a place and exactly one of the kinds.
type Fault struct {
	At            string          `json:"at" jsonschema:"required" doc:"Where: before, during or after, and the id of an operation as seatrial plan prints it: before roll/cp-2/apply."`
	PowerOff      *NodeFault      `json:"powerOff,omitempty" doc:"Cut a node's power; it is booted again afterwards."`
	CutOff        *NodeFault      `json:"cutOff,omitempty" doc:"Cut a node off from the network; what runs on it goes on."`
	FillDisk      *NodeFault      `json:"fillDisk,omitempty" doc:"Fill the node's disk, where etcd and the kubelet write; it is freed again afterwards."`
	Kill          *ComponentFault `json:"kill,omitempty" doc:"Kill a component of the node (SIGKILL). Whoever keeps it running starts it again."`
	Pause         *PauseFault     `json:"pause,omitempty" doc:"Stop a component of the node in its tracks (SIGSTOP): it is there, and does nothing."`
	EtcdNoSpace   *NodeFault      `json:"etcdNoSpace,omitempty" doc:"Have the node's etcd member raise the alarm of a full database (NOSPACE): etcd takes no more writes that need room until the alarm is disarmed, at the end."`
	EtcdAlarmLeft *EtcdFault      `json:"etcdAlarmLeft,omitempty" doc:"Have the node's etcd member raise the alarm of a full database (NOSPACE), and leave it, as a person does who makes room and forgets to disarm it."`
	EtcdOrphan    *EtcdFault      `json:"etcdOrphan,omitempty" doc:"Add a member to etcd that nobody starts, as a control plane leaves one whose kubeadm join or reset broke off. It has a vote, and stays."`
	CopyManifest  *ComponentFault `json:"copyManifest,omitempty" doc:"Leave a copy of a component's manifest beside it (etcd.yaml.bak), as a person does who wants a backup: the kubelet reads it too. It stays."`
}

// NodeFault is a fault of a whole node.
type NodeFault struct {
	Node string   `json:"node" jsonschema:"required" doc:"Node that it happens to."`
	For  Duration `json:"for,omitempty" jsonschema:"default=30s" doc:"How long it lasts. The operations go on meanwhile."`
}

// ComponentFault is a fault of a component that is over at once.
type ComponentFault struct {
	Node      string `json:"node" jsonschema:"required" doc:"Node that the component runs on."`
	Component string `json:"component" jsonschema:"required,enum=etcd,enum=kube-apiserver,enum=kube-controller-manager,enum=kube-scheduler" doc:"The component, by its executable's name."`
}

// EtcdFault is what happens to etcd by way of a member, and stays.
type EtcdFault struct {
	Node string `json:"node" jsonschema:"required" doc:"Control plane whose member is told."`
}

// PauseFault is a component that stands still.
type PauseFault struct {
	ComponentFault
	For Duration `json:"for,omitempty" jsonschema:"default=30s" doc:"How long it stands still. The operations go on meanwhile."`
}

// The places of a fault at an operation.
const (
	FaultBefore = "before"
	FaultDuring = "during"
	FaultAfter  = "after"
)

// Place takes a fault's at apart: "before" and the operation's id.
func (f Fault) Place() (when, op string) {
	when, op, _ = strings.Cut(f.At, " ")
	return when, op
}

// Kind is the fault's kind, for example "powerOff", with the node that it happens to, the component ("" for a whole node) and how long it lasts (0: no time).
// A validated fault has exactly one kind.
func (f Fault) Kind() (kind, node, component string, lasts time.Duration) {
	switch {
	case f.PowerOff != nil:
		return "powerOff", f.PowerOff.Node, "", f.PowerOff.For.Duration
	case f.CutOff != nil:
		return "cutOff", f.CutOff.Node, "", f.CutOff.For.Duration
	case f.FillDisk != nil:
		return "fillDisk", f.FillDisk.Node, "", f.FillDisk.For.Duration
	case f.EtcdNoSpace != nil:
		return "etcdNoSpace", f.EtcdNoSpace.Node, "etcd", f.EtcdNoSpace.For.Duration
	case f.EtcdAlarmLeft != nil:
		return "etcdAlarmLeft", f.EtcdAlarmLeft.Node, "etcd", 0
	case f.EtcdOrphan != nil:
		return "etcdOrphan", f.EtcdOrphan.Node, "etcd", 0
	case f.Kill != nil:
		return "kill", f.Kill.Node, f.Kill.Component, 0
	case f.CopyManifest != nil:
		return "copyManifest", f.CopyManifest.Node, f.CopyManifest.Component, 0
	case f.Pause != nil:
		return "pause", f.Pause.Node, f.Pause.Component, f.Pause.For.Duration
	}
	return "", "", "", 0
}

// Policies says how the policies judge this scenario.
type Policies struct {
	Params map[string]map[string]any `json:"params,omitempty" doc:"Parameters, by policy id: {availability/service_outage: {max: 2s}}."`
	Except []Exception               `json:"except,omitempty" doc:"Findings that are known and accepted, each with its reason. They are reported, and do not fail the run."`
}

// Exception accepts a finding.
type Exception struct {
	ID      string `json:"id" jsonschema:"required" doc:"Policy id, for example drain/workload_has_budget."`
	Subject string `json:"subject" jsonschema:"required" doc:"Subject of the finding, for example deployment/production/batch; * matches any run of characters but /."`
	Reason  string `json:"reason" jsonschema:"required" doc:"Why it is accepted. It is printed in every report."`
}

// Verdict is the outcome of a run.
type Verdict string

// The verdicts.
const (
	Passed  Verdict = "Passed"  // every policy that applies looked at something and found nothing wrong
	Failed  Verdict = "Failed"  // the cluster broke a policy
	Errored Verdict = "Errored" // we could not tell
	Skipped Verdict = "Skipped" // not run at all, with the reason
)

// Expectation is what seatrial test compares the outcome with.
type Expectation struct {
	Verdict  Verdict           `json:"verdict,omitempty" jsonschema:"default=Passed,enum=Passed,enum=Failed,enum=Errored" doc:"The expected verdict."`
	Findings []ExpectedFinding `json:"findings,omitempty" doc:"The findings of severity error that are expected, exactly these, and warnings that have to be there. Other warnings and exceptions are not compared."`
}

// ExpectedFinding names a finding.
type ExpectedFinding struct {
	Policy  string `json:"policy" jsonschema:"required" doc:"Policy id."`
	Subject string `json:"subject" jsonschema:"required" doc:"Subject; * matches any run of characters but /."`
	Message string `json:"message,omitempty" doc:"Text that the finding's message must have in it."`
}

// Duration is a time as Go writes it: 200ms, 30s, 5m. It is never negative; in a file it is never zero either.
type Duration struct{ time.Duration }

// UnmarshalText parses a duration and refuses one that is not positive.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 200ms, 30s or 5m", text)
	}
	if v <= 0 {
		return fmt.Errorf("duration %s is not more than zero", text)
	}
	d.Duration = v
	return nil
}

// MarshalText writes the duration as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// IsZero tells whether the duration was left out.
func (d Duration) IsZero() bool { return d.Duration == 0 }

// Or returns the duration, or fallback when it was left out.
func (d Duration) Or(fallback time.Duration) time.Duration {
	if d.IsZero() {
		return fallback
	}
	return d.Duration
}

// Kinds lists the kinds of step, in the order of their documentation.
func Kinds() []string {
	var kinds []string
	for _, f := range fields(reflect.TypeFor[Step]()) {
		if f.Type.Kind() == reflect.Pointer {
			kinds = append(kinds, fieldName(f))
		}
	}
	return kinds
}

// Kind returns the step's kind, for example "drain", and its spec. A validated step has exactly one.
func (s Step) Kind() (string, any) {
	set := s.kinds()
	if len(set) != 1 {
		return "", nil
	}
	v := reflect.ValueOf(s)
	for _, f := range fields(v.Type()) {
		if fieldName(f) == set[0] {
			return set[0], v.FieldByIndex(f.Index).Interface()
		}
	}
	return "", nil
}

// kinds lists the kinds that are set, valid or not.
func (s Step) kinds() []string {
	return pointers(s)
}

// pointers lists the fields of a struct that are pointers and set.
func pointers(of any) []string {
	var set []string
	v := reflect.ValueOf(of)
	for _, f := range fields(v.Type()) {
		if value := v.FieldByIndex(f.Index); value.Kind() == reflect.Pointer && !value.IsNil() {
			set = append(set, fieldName(f))
		}
	}
	return set
}
