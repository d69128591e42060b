// Package trace is the recording of a run: append-only events, one JSON object
// a line, from which everything else is derived.
//
//	{"seq":41,"time":"…","op":"roll/worker-1/drain","kind":"object","subject":"pod/production/web-7c…","change":"deleted","data":{…}}
//
// A recording can be judged and rendered again without a cluster. It never
// holds Secret data; what observers record is stripped before it gets here.
package trace

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
)

// Kind says what sort of thing an event is. The set is closed.
type Kind string

// The kinds of event.
const (
	KindRun     Kind = "run"     // the run itself: began, planned, ended
	KindOp      Kind = "op"      // an operation of the plan changed its state
	KindCommand Kind = "command" // a command was executed on a node
	KindObject  Kind = "object"  // a Kubernetes object was added, modified or deleted
	KindProbe   Kind = "probe"   // what a client saw
	KindFact    Kind = "fact"    // the answer to a question that no watch answers, or an act of ours on one subject
	KindFault   Kind = "fault"   // a fault was brought about or ended
	KindNote    Kind = "note"    // a remark for the reader; never judged
)

// Kinds lists every kind, in the order of their documentation.
var Kinds = []Kind{KindRun, KindOp, KindCommand, KindObject, KindProbe, KindFact, KindFault, KindNote}

// The values of Event.Change, per kind.
const (
	// KindObject. Existing marks the objects that were there when the observer came: together they are the world at the start.
	Existing = "existing"
	Added    = "added"
	Modified = "modified"
	Deleted  = "deleted"

	// KindRun. Data of RunBegan is RunData.
	RunBegan   = "began"
	StepsBegan = "stepsBegan" // the cluster stands, the objects are there: data.first of the policies is the world here
	StepsEnded = "stepsEnded" // the last step is over: intervals end here, what clean-up does is not judged
	RunEnded   = "ended"
	// RunResumed is recorded by another process than what is before it, which was killed: what happened in between was not seen.
	RunResumed = "resumed"

	// KindOp. Data is OpData.
	OpStarted = "started"
	OpDone    = "done"
	OpFailed  = "failed"  // the cluster did not let us: the rehearsed procedure failed
	OpErrored = "errored" // we could not tell: a defect of the harness, a lost connection, an interrupt
	OpSkipped = "skipped"

	// KindCommand. The subject is the node; data is CommandData.
	CommandDone   = "done"   // exit status 0
	CommandFailed = "failed" // any other end

	// KindProbe. Data is ProbeData.
	ProbeOK   = "ok"
	ProbeFail = "fail"

	// KindNote about the run: the cluster that was found is otherwise than the one that was promised.
	Differs = "differs"
	// KindNote about "machine": it did not run for a while. Data is StandstillData.
	StoodStill = "stoodStill"

	// KindFact about a pod: the drain is about to evict or delete it. Data is TakingData.
	Evicting = "evicting"
	Deleting = "deleting"

	// KindFact about a component: it ended unasked and was started again. Data is RestartData.
	Restarted = "restarted"

	// KindFact about a component: a version's program was asked whether it takes the flags that this one runs with. Data is FlagsData.
	FlagsChecked = "flagsChecked"

	// KindFact about a control plane node: what lies in its folder of static pods' manifests. Data is ManifestsData.
	ManifestsListed = "manifestsListed"

	// KindFact about a node: this kubeadm is about to work on it. Data is KubeadmData.
	KubeadmInstalled = "kubeadmInstalled"

	// KindFact about a certificate. certificate/NODE/PATH: it lies there, alone or in a kubeconfig. certificate/NODE/COMPONENT: the component serves it. certificate/NODE/COMPONENT/FILE: the
	// component has loaded it, or has not, from the file. Data is CertificateData.
	CertificateFound  = "found"
	CertificateServed = "served"
	CertificateLoaded = "loaded"

	// KindFact about a node: its kubelet has asked for a serving certificate, or has not. Data is KubeletRequestsData.
	ServingRequested = "servingRequested"
	// KindFact about a node: its kubelet has asked for a client certificate, for longer than an answer takes, or has not. Data is KubeletRequestsData.
	ClientRequested = "clientRequested"

	// KindFact about the certificates of a cluster, certificates/STEP: all were looked at. Data is InventoryData.
	CertificatesListed = "listed"

	// KindFact about a member of etcd, etcd/NODE: what it said of itself. Data is EtcdData.
	EtcdStatus = "status"

	// KindFact about a backup, backup/STEP: it was taken; it was proven or found not to hold; it was found to be whole, right before it was used; object storage has it. Data is BackupData,
	// VerifiedData, CheckedData and StoredData.
	BackupTaken    = "taken"
	BackupVerified = "verified"
	BackupChecked  = "checked"
	BackupStored   = "stored"

	// KindFact about a member of etcd, etcd/NODE: its data is about to be destroyed, or it is about to be stopped for a restore. Data is EtcdEndData.
	EtcdEnding = "ending"

	// KindFact about a member of etcd, etcd/NODE: it has the data of a backup. Data is EtcdReplacedData.
	EtcdReplaced = "replaced"
	// KindFact about a member of etcd, etcd/NODE: what is left of the data that it had before a restore, once that was done. Data is EtcdKeptData.
	EtcdKept = "kept"

	// KindFact about an authority, authority/ca: it is about to be replaced. Data is AuthorityReplacedData.
	AuthorityReplaced = "authorityReplaced"
	// KindFact about a rotation, rotation/STEP: which pods were not restarted. Data is UnrestartedData.
	PodsUnrestarted = "podsUnrestarted"

	// KindFact about a restore, restore/STEP: etcd was restored, and the API answers. Data is RestoreData.
	EtcdRestored = "restored"

	// KindFact about a restore, restore/STEP: what watched all the while was compared with the API, after it. Data is InformersData.
	InformersCompared = "informersCompared"

	// KindFact about a restore, restore/STEP: Secrets were read after it. Data is SecretsData.
	SecretsRead = "secretsRead"

	// KindFact about a component, after a restore: since when it runs. Data is StartData.
	ComponentStarted = "started"

	// KindFact about an API, api/GROUP/VERSION/RESOURCE: it is deprecated, and clients have requested it. Data is DeprecatedData.
	Requested = "requested"

	// KindFault. Data is FaultData.
	FaultBegan = "began"
	FaultEnded = "ended"
)

// Event is one line of a trace.
type Event struct {
	// Seq counts from 1 without gaps.
	Seq int64 `json:"seq"`
	// Time is when the event was recorded, in UTC.
	Time time.Time `json:"time"`
	// Op is the id of the innermost operation under way, or "".
	Op   string `json:"op,omitempty"`
	Kind Kind   `json:"kind"`
	// Subject is what the event is about, as kind/namespace/name or kind/name: "pod/production/web-0", "node/worker-1".
	Subject string `json:"subject"`
	// Change is what happened to the subject; its values depend on Kind.
	Change string `json:"change,omitempty"`
	// Data depends on Kind and Change. For objects it is the object after the change, or for Deleted as it was last.
	Data json.RawMessage `json:"data,omitempty"`
}

// Unmarshal decodes the event's data into v.
func (e Event) Unmarshal(v any) error {
	if err := jsonv2.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("decode data of event %d (%s %s): %w", e.Seq, e.Kind, e.Subject, err)
	}
	return nil
}

// RunData is the data of RunBegan.
type RunData struct {
	ID       string `json:"id"`
	Scenario string `json:"scenario"`
	Provider string `json:"provider"`
	Version  string `json:"version"`
}

// OpData is the data of an op event.
type OpData struct {
	// Seconds that the op took; set when it ended.
	Seconds float64 `json:"seconds,omitempty"`
	// Error is why it failed, errored or was skipped.
	Error string `json:"error,omitempty"`
	// Blockers are the objects that kept a failed op from finishing.
	Blockers []Blocker `json:"blockers,omitempty"`
}

// Blocker is one object that keeps an op from finishing, with the reason and, where known, the budget that holds it.
type Blocker struct {
	Subject string `json:"subject"`
	Budget  string `json:"budget,omitempty"`
	Reason  string `json:"reason"`
}

// StandstillData is how long this machine, or this program, did not run: what clients saw then says little about the cluster.
type StandstillData struct {
	Seconds float64 `json:"seconds"`
}

// ProbeData is the data of a probe event. A probe is recorded when its answer changes, and once more when probing ends, so
// that a trace does not grow with the time that nothing happens; Count says how many answers the event stands for.
type ProbeData struct {
	// Error is what the client saw; empty when Change is ok.
	Error string `json:"error,omitempty"`
	// Count is the number of equal answers in a row that ended with this event's predecessor.
	Count int `json:"count,omitempty"`
	// TookSeconds is how long the request took: an outage begins with the request that found it, not with its answer.
	TookSeconds float64 `json:"tookSeconds,omitempty"`
	// IntervalSeconds is the time between two requests: no outage shorter than this can be seen.
	IntervalSeconds float64 `json:"intervalSeconds"`
	// PatienceSeconds is how long an answer may take before it counts as none: no outage shorter than this can be told from a slow answer.
	PatienceSeconds float64 `json:"patienceSeconds"`
}

// CommandData is the data of a command event.
type CommandData struct {
	// Argv is the program and its arguments; no shell was between.
	Argv []string `json:"argv"`
	// Began is when it was started; the event's own time is that of its end.
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	// Stdout and Stderr are the end of what it wrote.
	Stdout string `json:"stdout,omitempty"`
	Stderr string `json:"stderr,omitempty"`
	// Error says how it ended, when that was not with exit status 0.
	Error string `json:"error,omitempty"`
}

// TakingData is the data of the facts Evicting and Deleting.
type TakingData struct {
	Node string `json:"node"`
	// Force says that the drain was told to take pods that no controller brings back.
	Force bool `json:"force"`
}

// RestartData is the data of the fact Restarted.
type RestartData struct {
	Time  time.Time `json:"time"`
	Error string    `json:"error"`
}

// FlagsData is the data of the fact FlagsChecked.
type FlagsData struct {
	// Version is the minor or exact version that a step names.
	Version string `json:"version"`
	// Component is the subject of the fact: component/cp-1/kube-apiserver.
	Component string `json:"component"`
	// Refusal is why the program would not start, or "".
	Refusal string `json:"refusal"`
}

// ManifestsData is the data of the fact ManifestsListed.
type ManifestsData struct {
	Node  string         `json:"node"`
	Files []ManifestData `json:"files"`
}

// ManifestData is one file there: its name, and the namespace and name of its pod, or "" when it holds none.
type ManifestData struct {
	File string `json:"file"`
	Pod  string `json:"pod"`
}

// KubeadmData is the data of the fact KubeadmInstalled.
type KubeadmData struct {
	Node string `json:"node"`
	// Version is what it says of itself: "v1.34.4".
	Version string `json:"version"`
}

// CertificateData is the data of the facts CertificateFound, CertificateServed and CertificateLoaded. Nothing of a key is in it, and no certificate's body.
type CertificateData struct {
	Node string `json:"node"`
	// Place is where it was seen: "disk", "kubeconfig", "served" or "loaded".
	Place string `json:"place"`
	// Component serves or has loaded it; "" of a file.
	Component string `json:"component"`
	// Path is the file that it is in, or that the component has it from; "" when the component made it itself.
	Path string `json:"path"`
	// Part is what of the file it is when it is not the first certificate in it: "authority" in a kubeconfig, "2" for the second of a bundle.
	Part string `json:"part"`
	// Problem is why it is no certificate that can be used, or "": then what follows may be empty.
	Problem string `json:"problem"`
	// Subject is whose it is; of a key without a certificate its fingerprint.
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	// Names are the subject's alternative names, addresses among them, sorted.
	Names []string `json:"names"`
	// Missing are names that clients know the server by and that are not among them.
	Missing []string `json:"missing"`
	// Serial is the serial number in hexadecimal digits.
	Serial string `json:"serial"`
	// NotBefore and NotAfter are zero of a key without a certificate.
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	// Authority says that it may sign others.
	Authority bool `json:"authority"`
	// External says of an authority that its key is not on the node.
	External bool `json:"external"`
	// KeyKind and KeyBits say how strong its key is: "RSA" and 2048.
	KeyKind string `json:"keyKind"`
	KeyBits int    `json:"keyBits"`
	// KeyMode is who may read and write the file that its key is in, as chmod takes it: "0600"; "" when none is.
	KeyMode string `json:"keyMode"`
	// Signer is the file of the authority on the node that signed it, or "" when none of them did. Replaced says that this authority signs no more.
	Signer   string `json:"signer"`
	Replaced bool   `json:"replaced"`
	// Newest is what the file has of which this is served or loaded; nil of a file.
	Newest *CertificateRef `json:"newest,omitempty"`
	// Since is when the component was started that has loaded it, Written when the file was written; zero for the other places.
	Since   time.Time `json:"since"`
	Written time.Time `json:"written"`
	// Asked says of a client certificate in a kubeconfig, or in the file that one names, that the API was asked with it, Refusal why it refused, or "".
	Asked   bool   `json:"asked"`
	Refusal string `json:"refusal"`
	// Rotates says of a kubelet's own client certificate whether the kubelet renews it.
	Rotates bool `json:"rotates"`
	// ClockSeconds is by how much the clock is ahead of ours of the API server that serves it, or of the kubelet whose it is; 0 when it is not known, or by less than two seconds.
	ClockSeconds float64 `json:"clockSeconds"`
}

// CertificateRef names a certificate.
type CertificateRef struct {
	Serial   string    `json:"serial"`
	NotAfter time.Time `json:"notAfter"`
}

// The places of certificates.
const (
	PlaceDisk       = "disk"
	PlaceKubeconfig = "kubeconfig"
	PlaceServed     = "served"
	PlaceLoaded     = "loaded"
)

// ID is the subject of the fact.
func (d CertificateData) ID() string {
	id := "certificate/" + d.Node
	if d.Component != "" {
		id += "/" + d.Component
	}
	if d.Component == "" || d.Place == PlaceLoaded {
		id += "/" + strings.TrimPrefix(d.Path, "/")
	}
	if d.Part != "" {
		id += "#" + d.Part
	}
	return id
}

// Change is the fact that it is the data of.
func (d CertificateData) Change() string {
	switch d.Place {
	case PlaceServed:
		return CertificateServed
	case PlaceLoaded:
		return CertificateLoaded
	}
	return CertificateFound
}

// KubeletRequestsData is the data of the facts ServingRequested and ClientRequested.
type KubeletRequestsData struct {
	Node string `json:"node"`
	// Pending are the kubelet's requests of which nothing has come, oldest first.
	Pending []string `json:"pending"`
	// Since is when the oldest of them was made; zero when there is none.
	Since time.Time `json:"since"`
}

// InventoryData is the data of the fact CertificatesListed.
type InventoryData struct {
	// Time is that of our clock.
	Time time.Time `json:"time"`
	// Seen are the subjects of the certificates that were seen, sorted: those of an earlier look that are not among them are gone.
	Seen []string `json:"seen"`
	// Unreadable is what could not be looked at, and why.
	Unreadable []string `json:"unreadable"`
}

// EtcdData is the data of the fact EtcdStatus. Ids are written as etcdctl does.
type EtcdData struct {
	Node string `json:"node"`
	// Silent says that it did not answer in the end, so that nothing of the rest is known.
	Silent bool `json:"silent,omitempty"`
	// ID and ClusterID are the member's and the cluster's.
	ID        string `json:"id"`
	ClusterID string `json:"clusterId"`
	Version   string `json:"version"`
	// Leader is the id of the member that it follows, or "" when it knows none.
	Leader  string `json:"leader"`
	Learner bool   `json:"learner"`
	// Term, Committed and Applied are of its raft log: the term, and the last entry that it knows to be committed and that it has applied.
	Term      uint64 `json:"term"`
	Committed uint64 `json:"committed"`
	Applied   uint64 `json:"applied"`
	// Behind is how many entries that some member knows to be committed this one has not applied.
	Behind    uint64 `json:"behind"`
	Revision  int64  `json:"revision"`
	SizeBytes int64  `json:"sizeBytes"`
	// Alarms are those of this member: "NOSPACE", "CORRUPT". AlarmsAsked says whether they are known.
	Alarms      []string `json:"alarms"`
	AlarmsAsked bool     `json:"alarmsAsked"`
	// MembersAsked says whether Strangers are known. They are only when every member answers.
	MembersAsked bool `json:"membersAsked"`
	// Strangers are the members that it lists and no control plane of the cluster runs, each with its id and its name. One member of each cluster is asked.
	Strangers []string `json:"strangers"`
}

// BackupData is the data of the fact BackupTaken.
type BackupData struct {
	Time time.Time `json:"time"`
	// Node is the control plane whose member it was taken from.
	Node string `json:"node"`
	// Kept is where it is kept: "here", on the machine that seatrial runs on, "objectStorage" or "node"; on a node the file is Path.
	Kept string `json:"kept"`
	Path string `json:"path,omitempty"`
	// ClusterID is that of etcd then, as etcdctl writes it.
	ClusterID string `json:"clusterId"`
	// Revision is the last that is in it.
	Revision  int64  `json:"revision"`
	SHA256    string `json:"sha256"`
	SizeBytes int64  `json:"sizeBytes"`
	Objects   int    `json:"objects"`
	// Digest is the hash of what it holds, whatever the order and the revision.
	Digest string `json:"digest"`
	// PKI are the files that are kept with it, of those that all control planes have the same, each where it is on a node: certificate authorities, keys. Those that can't be used are left out.
	PKI []string `json:"pki"`
	// Member is what the member said of itself right before; nil when it said nothing.
	Member *EtcdData `json:"member,omitempty"`
	// CronJob is who took it; nil when it was the rehearsal.
	CronJob *CronJobData `json:"cronJob,omitempty"`
}

// CronJobData is a CronJob that takes backups.
type CronJobData struct {
	// Subject is cronjob/NAMESPACE/NAME, Job the one that took this backup.
	Subject string `json:"subject"`
	Job     string `json:"job"`
	// Schedule is when it starts Jobs, in the format of cron.
	Schedule string `json:"schedule"`
	// Suspended says that it starts none.
	Suspended bool `json:"suspended"`
	// LongestSeconds is the longest time between two of them by the schedule, of those within the next 366 days; 0 when there are no two.
	LongestSeconds float64 `json:"longestSeconds"`
}

// StoredData is the data of the fact BackupStored: object storage has it, with its manifest.
type StoredData struct {
	// Time is when the storage got the last of it, by its own clock.
	Time time.Time `json:"time"`
	// Address is s3://BUCKET/KEY.
	Address   string `json:"address"`
	SizeBytes int64  `json:"sizeBytes"`
}

// CheckedData is the data of the fact BackupChecked.
type CheckedData struct {
	Time time.Time `json:"time"`
}

// VerifiedData is the data of the fact BackupVerified.
type VerifiedData struct {
	Time time.Time `json:"time"`
	// Problem is why it is not to be restored from, or "".
	Problem string `json:"problem"`
	// HasHash says whether it has the hash of a snapshot, right or wrong.
	HasHash bool `json:"hasHash"`
	// Objects are how many it restored to.
	Objects int `json:"objects"`
	// Unchecked says what could not be looked at.
	Unchecked []string `json:"unchecked"`
}

// EtcdEndData is the data of the fact EtcdEnding.
type EtcdEndData struct {
	// Time is when it began: from then on the member may be away.
	Time time.Time `json:"time"`
	// Until is when it was over: what was written to the member by then is not in a backup that is older.
	Until time.Time `json:"until"`
	Node  string    `json:"node"`
	// Lost says that the data is destroyed, and not only the member stopped.
	Lost bool `json:"lost"`
	// Answered says whether the member said its revision, the last time that it was asked, which is Revision.
	Answered bool  `json:"answered"`
	Revision int64 `json:"revision"`
}

// AuthorityReplacedData is the data of the fact AuthorityReplaced: the serial numbers of the certificates of an authority and of the one that takes its place, in hexadecimal digits.
type AuthorityReplacedData struct {
	Time time.Time `json:"time"`
	Old  string    `json:"old"`
	New  string    `json:"new"`
}

// UnrestartedData is the data of the fact PodsUnrestarted.
type UnrestartedData struct {
	// Pods are pod/NAMESPACE/NAME of those that have the cluster's authority mounted and run since before they were to be restarted: what they have read of it nobody knows.
	Pods []string `json:"pods"`
}

// EtcdReplacedData is the data of the fact EtcdReplaced.
type EtcdReplacedData struct {
	Time time.Time `json:"time"`
	Node string    `json:"node"`
	// Backup is the subject of the facts about what the data is from: backup/STEP.
	Backup string `json:"backup"`
	// Removed says that the old data was removed.
	Removed bool `json:"removed"`
}

// EtcdKeptData is the data of the fact EtcdKept.
type EtcdKeptData struct {
	Node string `json:"node"`
	// Folder is where the old data is to be.
	Folder string `json:"folder"`
	// SizeBytes is the size of the database that is there; 0 when there is none.
	SizeBytes int64 `json:"sizeBytes"`
}

// RestoreData is the data of the fact EtcdRestored.
type RestoreData struct {
	// Backup is the subject of the facts about what it was restored from: backup/STEP.
	Backup string `json:"backup"`
	// Answered is when the API server of every restored member answered again.
	Answered time.Time `json:"answered"`
	// ClusterIDs are what the members say now, by node, as etcdctl writes them.
	ClusterIDs map[string]string `json:"clusterIds"`
	// Revision is the one that the restored data begins at.
	Revision int64 `json:"revision"`
	// Hashes are those of the keys and values at that revision, by the member's node; "" of one that has none.
	Hashes map[string]string `json:"hashes"`
	// BackedDigest and Digest are the hashes of what the backup holds and of what is there at that revision, whatever the order.
	BackedDigest string `json:"backedDigest"`
	Digest       string `json:"digest"`
	// Backed is how many objects the backup has, Restored how many are there at that revision.
	Backed   int `json:"backed"`
	Restored int `json:"restored"`
	// Differences say, a resource each, in what the backup and what is there differ.
	Differences []string `json:"differences"`
}

// InformersData is the data of the fact InformersCompared.
type InformersData struct {
	// Since is when they began to watch.
	Since time.Time `json:"since"`
	// Objects is how many they know.
	Objects int `json:"objects"`
	// Stale are those that they take for something else than the API does, each with what they know; at most 20.
	Stale []string `json:"stale"`
}

// SecretsData is the data of the fact SecretsRead.
type SecretsData struct {
	// Secrets is how many the backup holds. Asked is for how many of those that etcd has, the first hundred, each API server was asked, and Read how many each has read; the least of them.
	Secrets int `json:"secrets"`
	Asked   int `json:"asked"`
	Read    int `json:"read"`
	// Problem is why they could not be read, or "".
	Problem string `json:"problem"`
}

// StartData is the data of the fact ComponentStarted.
type StartData struct {
	// Restore is the subject of the facts about the restore: restore/STEP.
	Restore string `json:"restore"`
	// Time is since when it runs at the earliest, and WithinSeconds how much later it may be.
	Time          time.Time `json:"time"`
	WithinSeconds float64   `json:"withinSeconds"`
}

// DeprecatedData is the data of the fact Requested.
type DeprecatedData struct {
	Group    string `json:"group"`
	Version  string `json:"version"`
	Resource string `json:"resource"`
	// RemovedRelease is the minor that does not serve it any more, "1.34"; "" when none is decided.
	RemovedRelease string `json:"removedRelease"`
	// Servers are the nodes whose API servers were asked.
	Servers []string `json:"servers"`
	// Objects are some that were written through it, each with who did.
	Objects []string `json:"objects"`
}

// FaultData is the data of a fault event.
type FaultData struct {
	Fault string `json:"fault"`
}
