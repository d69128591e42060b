// Package world is the state of a cluster at a moment, in the words that policies
// use: pods with what took them, budgets with their healthy pods counted from
// the pods themselves, workloads with their spread.
//
// A [Fold] turns the events of a trace into the world, event by event, and says
// what each one changed; [Promise] makes the world that a scenario's manifests
// promise before there is a cluster. What is costly to derive is kept up to
// date here, in Go, so that policies only have to look at it.
package world

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seatrial/seatrial/harness/trace"
)

// World is what policies see as data.world. Keys are "namespace/name", or
// "name" for what has no namespace; workloads carry their kind too: "deployment/production/web".
type World struct {
	// Promised says that this is not the state of a cluster but what manifests promise: no pod has a node yet.
	Promised bool             `json:"promised"`
	Nodes    map[string]*Node `json:"nodes"`
	Pods     map[string]*Pod  `json:"pods"`
	// Takings are the pods that somebody takes away, by the pod's key; few, however many pods there are.
	Takings   map[string]*Taken    `json:"takings"`
	Workloads map[string]*Workload `json:"workloads"`
	Budgets   map[string]*Budget   `json:"budgets"`
	Services  map[string]*Service  `json:"services"`
	Probes    map[string]*Probe    `json:"probes"`
	// Components are the programs of Kubernetes that run as pods of kube-system on the nodes, by their subject: component/cp-1/kube-scheduler. The kubelet is
	// not among them: its version is the node's.
	Components map[string]*Component `json:"components"`
	// Etcd are the members of etcd as they last said of themselves, by their subject: etcd/cp-1. Whether they answer, the probes say.
	Etcd map[string]*trace.EtcdData `json:"etcd"`
	// EtcdEnds are what members of etcd had last before their data was destroyed or they were stopped for a restore: etcd/cp-1. Of one that was both, it is the first.
	EtcdEnds map[string]*trace.EtcdEndData `json:"etcdEnds"`
	// EtcdReplaced are the members of etcd that have the data of a backup: etcd/cp-1.
	EtcdReplaced map[string]*trace.EtcdReplacedData `json:"etcdReplaced"`
	// EtcdKept says of members that were restored what is left of the data that they had before: etcd/cp-1.
	EtcdKept map[string]*trace.EtcdKeptData `json:"etcdKept"`
	// Backups are those that were taken, by their subject: backup/STEP. Verified are those that somebody tried to prove, and what came of it last.
	Backups  map[string]*trace.BackupData   `json:"backups"`
	Verified map[string]*trace.VerifiedData `json:"verified"`
	// Stored are those that object storage has.
	Stored map[string]*trace.StoredData `json:"stored"`
	// Checked are those that were found to be whole right before they were used.
	Checked map[string]*trace.CheckedData `json:"checked"`
	// Restores are those that came to an API that answers, by their subject: restore/STEP.
	Restores map[string]*trace.RestoreData `json:"restores"`
	// Informers and SecretsRead are what was found after them, by the same subject, and Starts since when the components run then, by theirs: component/cp-1/kube-apiserver.
	Informers   map[string]*trace.InformersData `json:"informers"`
	SecretsRead map[string]*trace.SecretsData   `json:"secretsRead"`
	Starts      map[string]*trace.StartData     `json:"starts"`
	// Certificates are those that were seen last, by their subject: certificate/cp-1/kube-apiserver for what it serves, certificate/cp-1/etc/kubernetes/admin.conf for what lies there.
	Certificates map[string]*trace.CertificateData `json:"certificates"`
	// Authorities are those that were replaced, by their subject: authority/ca/SERIAL, that of the old one.
	Authorities map[string]*trace.AuthorityReplacedData `json:"authorities"`
	// Unrestarted are the pods that may have read the authority of before only, by the subject: rotation/STEP.
	Unrestarted map[string]*trace.UnrestartedData `json:"unrestarted"`
	// Inventories are the looks at all certificates, by their subject: certificates/STEP. ServingRequests and ClientRequests are what kubelets asked for and did not get, by the node's name.
	Inventories     map[string]*trace.InventoryData       `json:"inventories"`
	ServingRequests map[string]*trace.KubeletRequestsData `json:"servingRequests"`
	ClientRequests  map[string]*trace.KubeletRequestsData `json:"clientRequests"`
	// Kubeadms are those that last were about to work on a node, by the node.
	Kubeadms map[string]*trace.KubeadmData `json:"kubeadms"`
	// Manifests are what lay last in the folders of static pods' manifests, by the control plane node.
	Manifests map[string]*trace.ManifestsData `json:"manifests"`
	// Flags are the answers of versions' programs to the flags of now, by component and version: component/cp-1/kube-apiserver@v1.35.
	Flags map[string]*trace.FlagsData `json:"flags"`
	// APIs are the deprecated APIs that were requested before the steps, by their subject: api/policy/v1beta1/poddisruptionbudgets.
	APIs map[string]*trace.DeprecatedData `json:"apis"`
	// Webhooks are those of admission configurations: validatingwebhookconfiguration/policy/pods.example.com.
	Webhooks map[string]*Webhook `json:"webhooks"`
}

// Node is a machine.
type Node struct {
	Name string `json:"name"`
	// Role is "control-plane" or "worker".
	Role string `json:"role"`
	// Cordoned is spec.unschedulable.
	Cordoned bool `json:"cordoned"`
	// Ready is the status of the condition Ready: "True", "False" or "Unknown".
	Ready string `json:"ready"`
	// Powered is false while a power cut of ours lasts.
	Powered        bool   `json:"powered"`
	KubeletVersion string `json:"kubeletVersion"`
	// Object is the API object as the trace has it, for questions that policies don't ask.
	Object jsontext.Value `json:"-"`
}

// Subject is how findings name the node.
func (n *Node) Subject() string { return "node/" + n.Name }

// Pod is a pod.
type Pod struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	UID       string            `json:"uid"`
	Node      string            `json:"node"`
	Labels    map[string]string `json:"labels"`
	Phase     string            `json:"phase"`
	// Ready is the condition Ready.
	Ready bool `json:"ready"`
	// Deleting says that the pod has a deletion timestamp.
	Deleting bool `json:"deleting"`
	// Controller is the controller that owns the pod, as a workload key ("replicaset/production/web-5d9"), or "" for a bare pod.
	Controller string `json:"controller"`
	// Workload is the topmost owner known: for a pod of a Deployment the Deployment. "" for a bare pod.
	Workload string `json:"workload"`
	// Mirror says that the pod stands for a static pod of its kubelet, which nothing can evict.
	Mirror bool `json:"mirror"`
	// EmptyDir says that the pod has an emptyDir volume, whose data goes with the pod.
	EmptyDir bool `json:"emptyDir"`
	// Budgets are the keys of the budgets that select the pod, sorted.
	Budgets []string `json:"budgets"`
	// Restarts is the sum over its containers.
	Restarts int32 `json:"restarts"`
	// WaitingReason is why the first waiting container waits, for example CrashLoopBackOff.
	WaitingReason string `json:"waitingReason,omitempty"`
	// Taken says who takes the pod away, from the moment that is known; nil for a pod that nobody takes.
	Taken *Taken `json:"taken,omitempty"`
	// Object is the API object as the trace has it, for questions that policies don't ask.
	Object jsontext.Value `json:"-"`
}

// Subject is how findings name the pod.
func (p *Pod) Subject() string { return "pod/" + p.Namespace + "/" + p.Name }

// Healthy is what a disruption budget counts: Ready and not being deleted.
// https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
func (p *Pod) Healthy() bool { return p.Ready && !p.Deleting }

// The ways in which a pod is taken.
const (
	TakenEvicted = "evicted" // through the eviction API, which asks the budgets
	TakenDeleted = "deleted" // by a plain delete of ours, which asks nobody
	TakenLost    = "lost"    // with its node, or by the control plane because of its node
	TakenOther   = "other"   // by its own controller or somebody else: a roll-out, a scale-down
)

// Taken is how a pod was taken away.
type Taken struct {
	Pod  string `json:"pod"`
	How  string `json:"how"`
	Node string `json:"node"`
	// Op that took it, or "".
	Op string `json:"op"`
	// Force says that the op was told to take pods that no controller brings back.
	Force bool `json:"force"`
	// NodeCordoned says whether the node was unschedulable at that moment.
	NodeCordoned bool `json:"nodeCordoned"`
	// WasHealthy says whether the pod counted as healthy when it was taken.
	WasHealthy bool `json:"wasHealthy"`
	// HealthyAfter is, in a budget's list, how many healthy pods the budget had left right after.
	HealthyAfter int `json:"healthyAfter"`
}

// Voluntary tells whether the pod was taken by an act that a disruption budget is meant to limit.
func (t *Taken) Voluntary() bool { return t != nil && (t.How == TakenEvicted || t.How == TakenDeleted) }

// Workload is a Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController or Job.
type Workload struct {
	// Kind is "deployment", "statefulset", "daemonset", "replicaset", "replicationcontroller" or "job".
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Replicas that are wanted: spec.replicas, or for a DaemonSet status.desiredNumberScheduled.
	Replicas int `json:"replicas"`
	// Ready is the number of healthy pods, counted from the pods.
	Ready int `json:"ready"`
	// Owner is the Deployment or CronJob that controls this one ("deployment/production/web" of a ReplicaSet), or "". Custom resources are not looked at, and own nothing here.
	Owner string `json:"owner"`
	// Labels of the pod template.
	Labels map[string]string `json:"labels"`
	// EmptyDir says that the template has an emptyDir volume.
	EmptyDir bool `json:"emptyDir"`
	// Budgets are the keys of the budgets that select the template's labels, sorted.
	Budgets []string `json:"budgets"`
	// Nodes counts the pods that are on each node and not being deleted.
	Nodes map[string]int `json:"nodes"`
}

// Key is the workload's key in World.Workloads, which is also how findings name it.
func (w *Workload) Key() string { return w.Kind + "/" + w.Namespace + "/" + w.Name }

// Budget is a PodDisruptionBudget, with what its status would say if it never lagged.
type Budget struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// MinAvailable and MaxUnavailable are as written ("2", "50%"), "" when absent.
	MinAvailable   string `json:"minAvailable"`
	MaxUnavailable string `json:"maxUnavailable"`
	// UnhealthyPodEvictionPolicy is "IfHealthyBudget" (the default) or "AlwaysAllow".
	UnhealthyPodEvictionPolicy string `json:"unhealthyPodEvictionPolicy"`
	// Expected is the number of pods that the budget reckons with.
	Expected int `json:"expected"`
	// Desired is the least number of healthy pods.
	Desired int `json:"desired"`
	// Healthy is the number of selected pods that are Ready and not being deleted.
	Healthy int `json:"healthy"`
	// Pods is the number of selected pods.
	Pods int `json:"pods"`
	// Allowed is how many pods may be evicted now: Healthy - Desired, at least 0.
	Allowed int `json:"allowed"`
	// Unhealthy names at most MaxListed of the selected pods that are not healthy, sorted.
	Unhealthy []string `json:"unhealthy"`
	// Taken lists what was voluntarily taken from the budget since it last had its desired number of healthy pods.
	Taken []Taken `json:"taken"`
	// Workloads are the keys of the workloads whose template the budget selects, sorted.
	Workloads []string `json:"workloads"`
}

// MaxListed bounds the lists of names in a world: enough to act on, whatever the size of the cluster.
const MaxListed = 20

// Key is the budget's key in World.Budgets.
func (b *Budget) Key() string { return b.Namespace + "/" + b.Name }

// Subject is how findings name the budget.
func (b *Budget) Subject() string { return "poddisruptionbudget/" + b.Key() }

// Service is what EndpointSlices say of a Service.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Ready is the number of ready endpoints.
	Ready int `json:"ready"`
	// Serving is the number of endpoints that are terminating and still serve.
	Serving int `json:"serving"`
}

// Probe is what one client sees.
type Probe struct {
	// Target is what is asked: "service", "api" or "etcd".
	Target  string `json:"target"`
	Subject string `json:"subject"`
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
	// IntervalSeconds is the time between two requests.
	IntervalSeconds float64 `json:"intervalSeconds"`
	// PatienceSeconds is how long an answer may take.
	PatienceSeconds float64 `json:"patienceSeconds"`
	// Answers is how many requests are known to have been answered or refused so far.
	Answers int `json:"answers"`
}

// Component is a program of Kubernetes on a node.
type Component struct {
	Node string `json:"node"`
	// Name is that of its executable: "kube-apiserver", "etcd", "kube-proxy".
	Name string `json:"name"`
	// Version is the tag of the image that its pod was made with: "v1.34.4". "" when only its end was seen.
	Version string `json:"version"`
	// Ready is its pod's condition; false too while there is no such pod.
	Ready bool `json:"ready"`
	// Restarts is how often it ended unasked and was started again.
	Restarts int `json:"restarts"`
	// Ends are the times of these ends as RFC 3339 has them, at most MaxListed of them.
	Ends []string `json:"ends"`
	// Error says how it ended last.
	Error string `json:"error"`
}

// Subject is how findings name the component.
func (c *Component) Subject() string { return "component/" + c.Node + "/" + c.Name }

// The conditions whose intervals are kept.
const (
	ServiceOutage  = "serviceOutage"  // a probed Service does not answer; the subject is the probe's: service/production/web:80
	APIOutage      = "apiOutage"      // the API does not answer; api/balancer, or api/cp-1 for one server
	EtcdSilent     = "etcdSilent"     // a member of etcd does not answer, or knows no leader; etcd/cp-1
	EtcdQuorumLost = "etcdQuorumLost" // no majority of the members serves; etcd
	NodeCordoned   = "nodeCordoned"   // a node is unschedulable
	NodeNotReady   = "nodeNotReady"   // a node's condition Ready is not True
	BudgetBelow    = "budgetBelow"    // a budget has fewer healthy pods than it desires
)

// Interval is a time during which a condition held.
type Interval struct {
	Condition string    `json:"condition"`
	Subject   string    `json:"subject"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Seconds   float64   `json:"seconds"`
	// FromSeq and ToSeq are the numbers of the events that began and ended it.
	FromSeq int64 `json:"fromSeq"`
	ToSeq   int64 `json:"toSeq"`
	// Open says that it had not ended when the steps did.
	Open bool `json:"open"`
	// Reason is what was seen when it began.
	Reason string `json:"reason,omitempty"`
	// FirstSeconds is how long the request took whose failure began it, which is part of it; 0 when it was no request.
	FirstSeconds float64 `json:"firstSeconds,omitempty"`
}
