package world

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/seatrial/seatrial/harness/trace"
)

// Ref names one entity of a world: the collection ("pods", "budgets", …, a field of World in JSON) and its key there.
type Ref struct {
	Collection string
	Key        string
}

// Change is what one event did to the world.
type Change struct {
	// Before and After are the entity that the event is about: a *Pod, a *Node, …; nil when there was or is none.
	Before, After any
	// Touched lists the entities that changed, the event's own first. Look them up with World.Entity: nil means it is gone.
	Touched []Ref
}

// Fold turns events into a world. It is not safe for concurrent use.
type Fold struct {
	World *World

	pods       map[string]*podState
	budgets    map[string]*budgetState
	slices     map[string]sliceState
	hooks      map[string]webhookState
	namespaces map[string]map[string]string // labels
	intervals  *intervals
	last       trace.Event // that was folded
	touched    []Ref
	seen       map[Ref]bool
}

// NewFold returns a fold of no events: an empty world.
func NewFold() *Fold {
	return &Fold{
		World:      New(),
		pods:       map[string]*podState{},
		budgets:    map[string]*budgetState{},
		slices:     map[string]sliceState{},
		hooks:      map[string]webhookState{},
		namespaces: map[string]map[string]string{},
		intervals:  newIntervals(),
		seen:       map[Ref]bool{},
	}
}

// Event is an event with its object decoded, as far as that takes long.
type Event struct {
	trace.Event
	pod *podObject
	err error
}

// Read decodes an event for [Fold.ApplyRead]. It needs no fold, so that it can be done ahead, beside the folding of earlier ones.
func Read(e trace.Event) Event {
	read := Event{Event: e}
	if e.Kind == trace.KindObject && strings.HasPrefix(e.Subject, "pod/") {
		read.pod = &podObject{}
		read.err = jsonv2.Unmarshal(e.Data, read.pod)
	}
	return read
}

// Apply folds one event in and says what it changed.
func (f *Fold) Apply(e trace.Event) (Change, error) { return f.ApplyRead(Read(e)) }

// ApplyRead is Apply for an event that was decoded before.
func (f *Fold) ApplyRead(e Event) (Change, error) {
	f.touched = nil
	clear(f.seen)
	var c Change
	var err error
	switch e.Kind {
	case trace.KindObject:
		c, err = f.object(e)
	case trace.KindProbe:
		c, err = f.probe(e.Event)
	case trace.KindFact:
		c, err = f.fact(e.Event)
	case trace.KindFault:
		c, err = f.fault(e.Event)
	case trace.KindRun:
		if e.Change == trace.RunResumed {
			f.intervals.lookAway(f.last, asked)
		}
	}
	c.Touched = f.touched
	f.last = e.Event
	return c, err
}

// Intervals lists the intervals so far, ended and open ones, ordered by their beginning. Open ones reach to now.
func (f *Fold) Intervals(now time.Time, seq int64) []Interval { return f.intervals.list(now, seq) }

// Forget drops the intervals so far and begins those that are open anew at now: what was before the steps is not judged.
func (f *Fold) Forget(now time.Time, seq int64) { f.intervals.restart(now, seq) }

func (f *Fold) touch(collection, key string) {
	r := Ref{collection, key}
	if !f.seen[r] {
		f.seen[r] = true
		f.touched = append(f.touched, r)
	}
}

// object folds a change of a Kubernetes object. Kinds that the world does not hold are passed over.
func (f *Fold) object(read Event) (Change, error) {
	e := read.Event
	kind, key, ok := strings.Cut(e.Subject, "/")
	if !ok {
		return Change{}, fmt.Errorf("fold event %d: subject %q has no kind", e.Seq, e.Subject)
	}
	gone := e.Change == trace.Deleted
	switch kind {
	case "pod":
		return fold(f, e, key, gone, f.World.Pods, func(e trace.Event, key string, gone bool) error {
			if read.err != nil {
				return fmt.Errorf("pod %s: %w", key, read.err)
			}
			f.pod(e, key, gone, read.pod)
			return nil
		})
	case "node":
		return fold(f, e, key, gone, f.World.Nodes, f.node)
	case "deployment", "statefulset", "daemonset", "replicaset", "replicationcontroller", "job":
		return fold(f, e, e.Subject, gone, f.World.Workloads, f.workload)
	case "poddisruptionbudget":
		return fold(f, e, key, gone, f.World.Budgets, f.budget)
	case "validatingwebhookconfiguration", "mutatingwebhookconfiguration":
		return Change{}, f.webhooks(e, gone)
	case "namespace":
		return Change{}, f.namespace(e, key)
	case "endpointslice":
		return Change{}, f.endpointSlice(e, key, gone)
	}
	return Change{}, nil
}

// fold runs apply for one entity of m and notes the entity before and after.
func fold[T any](f *Fold, e trace.Event, key string, gone bool, m map[string]*T, apply func(e trace.Event, key string, gone bool) error) (Change, error) {
	var c Change
	if before, ok := m[key]; ok {
		copied := *before
		c.Before = &copied
	}
	if err := apply(e, key, gone); err != nil {
		return c, fmt.Errorf("fold event %d: %w", e.Seq, err)
	}
	if after, ok := m[key]; ok {
		c.After = after
	}
	return c, nil
}

// fact folds an act of ours on one subject.
func (f *Fold) fact(e trace.Event) (Change, error) {
	kind, key, _ := strings.Cut(e.Subject, "/")
	if kind == "component" && e.Change == trace.Restarted {
		return fold(f, e, e.Subject, false, f.World.Components, f.restarted)
	}
	switch e.Change {
	case trace.FlagsChecked:
		return keep(f, e, "flags", f.World.Flags, func(d *trace.FlagsData) string { return e.Subject + "@" + d.Version })
	case trace.Requested:
		return keep(f, e, "apis", f.World.APIs, func(*trace.DeprecatedData) string { return e.Subject })
	case trace.CertificateFound, trace.CertificateServed, trace.CertificateLoaded:
		return keep(f, e, "certificates", f.World.Certificates, func(*trace.CertificateData) string { return e.Subject })
	case trace.CertificatesListed:
		return f.listed(e)
	case trace.ClientRequested:
		return keep(f, e, "clientRequests", f.World.ClientRequests, func(d *trace.KubeletRequestsData) string { return d.Node })
	case trace.ServingRequested:
		return keep(f, e, "servingRequests", f.World.ServingRequests, func(d *trace.KubeletRequestsData) string { return d.Node })
	case trace.ManifestsListed:
		return keep(f, e, "manifests", f.World.Manifests, func(d *trace.ManifestsData) string { return d.Node })
	case trace.KubeadmInstalled:
		return keep(f, e, "kubeadms", f.World.Kubeadms, func(d *trace.KubeadmData) string { return d.Node })
	case trace.EtcdStatus:
		return keep(f, e, "etcd", f.World.Etcd, func(*trace.EtcdData) string { return e.Subject })
	case trace.EtcdEnding:
		if before := f.World.EtcdEnds[e.Subject]; before != nil && before.Lost {
			if d := (trace.EtcdEndData{}); e.Unmarshal(&d) == nil && !d.Lost {
				return Change{}, nil // a member that is lost is stopped afterwards, and had less then
			}
		}
		return keep(f, e, "etcdEnds", f.World.EtcdEnds, func(*trace.EtcdEndData) string { return e.Subject })
	case trace.EtcdKept:
		return keep(f, e, "etcdKept", f.World.EtcdKept, func(*trace.EtcdKeptData) string { return e.Subject })
	case trace.EtcdReplaced:
		return keep(f, e, "etcdReplaced", f.World.EtcdReplaced, func(*trace.EtcdReplacedData) string { return e.Subject })
	case trace.PodsUnrestarted:
		return keep(f, e, "unrestarted", f.World.Unrestarted, func(*trace.UnrestartedData) string { return e.Subject })
	case trace.AuthorityReplaced:
		return keep(f, e, "authorities", f.World.Authorities, func(*trace.AuthorityReplacedData) string { return e.Subject })
	case trace.BackupTaken:
		return keep(f, e, "backups", f.World.Backups, func(*trace.BackupData) string { return e.Subject })
	case trace.BackupVerified:
		return keep(f, e, "verified", f.World.Verified, func(*trace.VerifiedData) string { return e.Subject })
	case trace.BackupStored:
		return keep(f, e, "stored", f.World.Stored, func(*trace.StoredData) string { return e.Subject })
	case trace.BackupChecked:
		return keep(f, e, "checked", f.World.Checked, func(*trace.CheckedData) string { return e.Subject })
	case trace.InformersCompared:
		return keep(f, e, "informers", f.World.Informers, func(*trace.InformersData) string { return e.Subject })
	case trace.SecretsRead:
		return keep(f, e, "secretsRead", f.World.SecretsRead, func(*trace.SecretsData) string { return e.Subject })
	case trace.ComponentStarted:
		return keep(f, e, "starts", f.World.Starts, func(*trace.StartData) string { return e.Subject })
	case trace.EtcdRestored:
		return keep(f, e, "restores", f.World.Restores, func(*trace.RestoreData) string { return e.Subject })
	}
	if kind != "pod" || (e.Change != trace.Evicting && e.Change != trace.Deleting) {
		return Change{}, nil
	}
	return fold(f, e, key, false, f.World.Pods, f.taking)
}

// listed ends a look at all certificates: what it did not see is gone.
func (f *Fold) listed(e trace.Event) (Change, error) {
	change, err := keep(f, e, "inventories", f.World.Inventories, func(*trace.InventoryData) string { return e.Subject })
	if err != nil {
		return change, err
	}
	for _, subject := range slices.Sorted(maps.Keys(f.World.Certificates)) {
		if !slices.Contains(f.World.Inventories[e.Subject].Seen, subject) {
			delete(f.World.Certificates, subject)
			f.touch("certificates", subject)
		}
	}
	return change, nil
}

// keep puts a fact's data into the world as it is.
func keep[T any](f *Fold, e trace.Event, collection string, m map[string]*T, key func(*T) string) (Change, error) {
	var d T
	if err := jsonv2.Unmarshal(e.Data, &d); err != nil {
		return Change{}, fmt.Errorf("fold event %d: %s: %w", e.Seq, e.Subject, err)
	}
	name := key(&d)
	var c Change
	if before, ok := m[name]; ok {
		c.Before = before
	}
	m[name], c.After = &d, &d
	f.touch(collection, name)
	return c, nil
}

func (f *Fold) fault(e trace.Event) (Change, error) {
	var d trace.FaultData
	if err := jsonv2.Unmarshal(e.Data, &d); err != nil {
		return Change{}, fmt.Errorf("fold event %d: fault of %s: %w", e.Seq, e.Subject, err)
	}
	kind, key, _ := strings.Cut(e.Subject, "/")
	node := f.World.Nodes[key]
	if kind != "node" || node == nil || d.Fault != "powerOff" {
		return Change{}, nil // what else happens shows in the cluster
	}
	before := *node
	node.Powered = e.Change == trace.FaultEnded
	f.touch("nodes", key)
	return Change{Before: &before, After: node}, nil
}

// asked are the conditions that only probes tell.
var asked = map[string]bool{ServiceOutage: true, APIOutage: true, EtcdSilent: true, EtcdQuorumLost: true}

// silences are the conditions in which what a probe asks does not answer, by its target.
var silences = map[string]string{"service": ServiceOutage, "api": APIOutage, "etcd": EtcdSilent}

func (f *Fold) probe(e trace.Event) (Change, error) {
	var d trace.ProbeData
	if err := jsonv2.Unmarshal(e.Data, &d); err != nil {
		return Change{}, fmt.Errorf("fold event %d: probe %s: %w", e.Seq, e.Subject, err)
	}
	target, _, _ := strings.Cut(e.Subject, "/")
	p := f.World.Probes[e.Subject]
	if p == nil {
		p = &Probe{Target: target, Subject: e.Subject}
		f.World.Probes[e.Subject] = p
	}
	before := *p
	p.OK, p.Error, p.IntervalSeconds, p.PatienceSeconds = e.Change == trace.ProbeOK, d.Error, d.IntervalSeconds, d.PatienceSeconds
	p.Answers += 1 + d.Count
	condition := silences[target]
	if !p.OK {
		e.Time = e.Time.Add(-time.Duration(d.TookSeconds * float64(time.Second)))
	}
	f.intervals.set(condition, e.Subject, !p.OK, e, d.Error)
	f.intervals.first(condition, e, d.TookSeconds)
	if target == "etcd" {
		lost, reason := f.quorumLost()
		f.intervals.set(EtcdQuorumLost, "etcd", lost, e, reason)
	}
	f.touch("probes", e.Subject)
	return Change{Before: &before, After: p}, nil
}

// quorumLost tells whether no majority of etcd's members serves. One member alone has no quorum to lose.
func (f *Fold) quorumLost() (bool, string) {
	members, silent := 0, []string{}
	for _, p := range f.World.Probes {
		if p.Target != "etcd" {
			continue
		}
		members++
		if !p.OK {
			silent = append(silent, p.Subject+": "+p.Error)
		}
	}
	slices.Sort(silent)
	return members > 1 && 2*(members-len(silent)) <= members, fmt.Sprintf("%d of %d members do not serve: %s", len(silent), members, strings.Join(silent, "; "))
}
