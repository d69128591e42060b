package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/etcd"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/observe"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/procedure/apply"
	"github.com/seatrial/seatrial/harness/procedure/catalog"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// stage is the cluster of a run and all that is connected to it.
type stage struct {
	cluster cluster.Cluster
	env     procedure.Env
	meta    metadata.Interface
	watches *observe.Watches
	probes  *observe.Probes
}

// setUp performs the ops before the steps: the cluster, the observers, the objects.
func (r *rehearsal) setUp(ctx context.Context) error {
	for _, op := range r.plan.Ops {
		if op.Procedure != "run" {
			return nil
		}
		if goOn, err := r.do(ctx, op, r.prepare); err != nil || !goOn {
			return err
		}
	}
	return nil
}

// prepare performs one of the ops that come before the steps.
func (r *rehearsal) prepare(ctx context.Context, op *plan.Op, log io.Writer) error {
	switch op.Action {
	case "prepare":
		return r.Provider.Prepare(ctx, r.spec(io.MultiWriter(log, r.Progress)))
	case "create":
		return r.createCluster(ctx, op, log)
	case "apply":
		return r.applyObjects(ctx, op, log)
	}
	return fmt.Errorf("op %q has the unknown action %q", op.ID, op.Action)
}

func (r *rehearsal) createCluster(ctx context.Context, _ *plan.Op, log io.Writer) error {
	if err := r.journal.write(entry{Undo: &undo{StateDir: r.StateDir}}); err != nil {
		return err
	}
	made, err := r.Provider.Create(ctx, r.spec(log))
	if err != nil {
		return err
	}
	r.stage = &stage{cluster: made}
	r.version = made.Version()
	return r.connect(ctx, r.record)
}

// spec is the cluster that the scenario asks for.
func (r *rehearsal) spec(progress io.Writer) cluster.Spec {
	c := r.File.Spec.Cluster
	certificates := cluster.Certificates{Rehearsed: r.File.LooksAtCertificates()}
	if own := c.Certificates; own != nil {
		certificates = cluster.Certificates{
			Validity: own.Validity.Duration, AuthorityValidity: own.AuthorityValidity.Duration, FixedKubelets: own.FixedKubelets(), ServingRequests: own.ServingRequests,
			CopyAdmin: own.CopyAdminConf, Rehearsed: true,
		}
	}
	return cluster.Spec{
		Name: r.ID, KubernetesVersion: c.KubernetesVersion, Upgrades: r.plan.Versions(), Disks: r.plan.FillsDisks(),
		FeatureGates: c.FeatureGates, RuntimeConfig: c.RuntimeConfig, EncryptSecrets: c.EncryptSecrets, Certificates: certificates, ControlPlanes: c.ControlPlanes, Workers: c.Workers,
		Resumable: r.Resumable != nil, Dir: r.folder.file(clusterDir), StateDir: r.StateDir, Progress: progress, OnCommand: r.recordCommand,
	}
}

// connect makes the clients and begins to observe. The observers outlive the op: they end with stopObserving. record takes what the watches see.
func (r *rehearsal) connect(ctx context.Context, record observe.Recorder) error {
	config := r.stage.cluster.RESTConfig()
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	plain := rest.CopyConfig(config)
	plain.ContentType, plain.AcceptContentTypes = "", "" // unstructured objects have no protobuf form
	client, err := objects.NewClient(plain, kube)
	if err != nil {
		return err
	}
	r.stage.env = procedure.Env{
		Cluster: r.stage.cluster, Kube: kube, Objects: client, Manifests: r.File.Manifests, Background: procedure.NewBackground(context.WithoutCancel(ctx)), Looks: procedure.NewLooks(),
		FirstCertificates: r.firstCertificates, Run: r.ID, Backups: filepath.Join(r.StateDir, "backups"), Storage: r.Storage, Scratch: r.Scratch,
	}
	if r.stage.env.Etcd, err = dialEtcd(ctx, r.stage.cluster); err != nil {
		return err
	}
	if r.stage.meta, err = metadata.NewForConfig(config); err != nil {
		return fmt.Errorf("make metadata client: %w", err)
	}
	if r.plan.Restores() {
		if r.stage.env.Informers, err = observe.StartInformers(context.WithoutCancel(ctx), r.stage.meta); err != nil {
			return err
		}
	}
	watching := rest.CopyConfig(config)
	watching.Wrap(cluster.Patient)
	watcher, err := kubernetes.NewForConfig(watching)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	r.stage.watches, err = observe.StartWatches(context.WithoutCancel(ctx), watcher, r.stage.meta, record)
	if err == nil {
		r.stage.env.Recorded, r.stage.env.Relist = r.stage.watches.Recorded, r.stage.watches.Relist
	}
	return err
}

// dialEtcd makes clients for the members of a cluster whose etcd can be asked.
func dialEtcd(ctx context.Context, c cluster.Cluster) (*etcd.Members, error) {
	askable, ok := c.(cluster.Etcd)
	if !ok {
		return nil, nil
	}
	return etcd.Dial(ctx, askable)
}

func (r *rehearsal) applyObjects(ctx context.Context, op *plan.Op, log io.Writer) error {
	file, ok := op.Options.(scenario.ObjectFile)
	if !ok {
		return fmt.Errorf("op %q has options of type %T", op.ID, op.Options)
	}
	if err := apply.File(ctx, r.env(op, log), file.File, file.Awaits()); err != nil || len(r.plan.Versions()) == 0 {
		return err
	}
	// An API server knows only what it was asked for since it started, and a run that is killed and resumed starts it again.
	return r.recordDeprecated(ctx, op.ID)
}

// env is what a procedure works with in the op that is being performed.
func (r *rehearsal) env(op *plan.Op, log io.Writer) *procedure.Env {
	env := r.stage.env
	env.Log = log
	env.Record = func(kind trace.Kind, subject, change string, data any) error {
		return r.record(trace.Event{Op: op.ID, Kind: kind, Subject: subject, Change: change}, data)
	}
	return &env
}

// perform takes the steps, from the moment when every probe has had its first answer.
func (r *rehearsal) perform(ctx context.Context) (err error) {
	probes, err := r.clients()
	if err != nil {
		return err
	}
	r.stage.probes = observe.StartProbes(context.WithoutCancel(ctx), probes, r.record)
	if r.past == nil || !r.past.stepsBegan {
		if err := r.mark(trace.StepsBegan); err != nil {
			return err
		}
	}
	if err := r.steps(ctx); err != nil {
		return err
	}
	// What the last step did must be in the recording before it says that the steps have ended.
	if err := errors.Join(r.stage.watches.CatchUp(ctx), r.stage.probes.Stop(), r.stage.watches.Err(), r.recordRestarts(ctx)); err != nil {
		return err
	}
	if err := errors.Join(r.recordEtcd(ctx), r.lookAtCertificates(ctx, lastLook)); err != nil {
		return err
	}
	return r.mark(trace.StepsEnded)
}

// lastEtcd is how long the members of etcd may take in the end to be one healthy cluster: one answer that is late, or an election at that moment, is not how it ended.
const lastEtcd = 10 * time.Second

// recordEtcd puts into the recording what the members of etcd say of themselves in the end. Of one that does not answer it has that nobody could ask: what it said before is not how it is.
func (r *rehearsal) recordEtcd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lastEtcd)
	defer cancel()
	said, _ := r.stage.env.Etcd.AwaitInStep(ctx) // what is wrong with them is in what they say
	for _, node := range r.stage.env.Etcd.Nodes() {
		if !slices.ContainsFunc(said, func(s trace.EtcdData) bool { return s.Node == node }) {
			said = append(said, trace.EtcdData{Node: node, Silent: true, Alarms: []string{}, Strangers: []string{}})
		}
	}
	return procedure.RecordEtcd(said, func(kind trace.Kind, subject, change string, data any) error {
		return r.record(trace.Event{Kind: kind, Subject: subject, Change: change}, data)
	})
}

// recordCommand puts a command that was executed on a node into the recording. When that fails the trace says so at the end (trace.Writer.Err).
func (r *rehearsal) recordCommand(c cluster.Command) {
	data := trace.CommandData{Argv: c.Argv, Began: c.Began.UTC(), Seconds: c.Took.Seconds(), Stdout: c.Stdout, Stderr: c.Stderr}
	change := trace.CommandDone
	if c.Err != nil {
		change, data.Error = trace.CommandFailed, c.Err.Error()
	}
	_ = r.record(trace.Event{Kind: trace.KindCommand, Subject: "node/" + c.Node, Change: change}, data)
}

// restartsTimeout is how long the question which components ended may take: that is until kubelets have told of them.
const restartsTimeout = 3 * time.Minute

// ending is an unasked end of a component, by its subject and time.
type ending struct {
	subject string
	at      time.Time
}

// recordRestarts puts the components that ended unasked, and are not in it yet, into the recording, and says so.
func (r *rehearsal) recordRestarts(ctx context.Context) error {
	restarter, ok := r.stage.cluster.(cluster.Restarter)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, restartsTimeout)
	defer cancel()
	restarts, err := restarter.Restarts(ctx)
	if err != nil {
		return fmt.Errorf("ask which components ended unasked: %w", err)
	}
	r.restartsMu.Lock()
	defer r.restartsMu.Unlock()
	for _, restart := range restarts {
		subject := "component/" + restart.Node + "/" + restart.Component
		if r.restarts[ending{subject, restart.Time}] {
			continue
		}
		r.restarts[ending{subject, restart.Time}] = true
		how, _, _ := strings.Cut(restart.Err.Error(), "\n") // the recording has its last lines too
		fmt.Fprintf(r.Progress, "note: %s ended unasked at %s and was started again: %s\n", subject, restart.Time.UTC().Format(time.TimeOnly), how)
		if err := r.record(trace.Event{Kind: trace.KindFact, Subject: subject, Change: trace.Restarted}, trace.RestartData{Time: restart.Time.UTC(), Error: restart.Err.Error()}); err != nil {
			return err
		}
	}
	return nil
}

func (r *rehearsal) steps(ctx context.Context) error {
	ops := r.plan.Ops
	for len(ops) > 0 && ops[0].Procedure == "run" {
		ops = ops[1:]
	}
	for _, op := range ops {
		goOn, err := r.do(ctx, op, func(ctx context.Context, op *plan.Op, log io.Writer) error {
			return catalog.Performer(op.Procedure).Do(ctx, r.env(op, log), r.step(op), op)
		})
		if err != nil || !goOn {
			return err
		}
	}
	return nil
}

// step is the step that an op was made of; the ops of faults have none.
func (r *rehearsal) step(op *plan.Op) scenario.Step {
	id, _, _ := strings.Cut(op.ID, "/")
	for _, step := range r.File.Spec.Steps {
		if step.ID == id {
			return step
		}
	}
	return scenario.Step{}
}

const (
	// apiInterval is the time between two requests of the API probes, freshInterval where each is on a connection of its own.
	apiInterval   = 200 * time.Millisecond
	freshInterval = 100 * time.Millisecond
	// etcdInterval is the time between two questions to a member of etcd.
	etcdInterval = 500 * time.Millisecond
)

// clients are the probes: the API through the balancer, each API server alone, each member of etcd, and each service that the scenario names.
func (r *rehearsal) clients() ([]observe.Probe, error) {
	balancer, err := r.apiProbe("balancer", r.stage.cluster.RESTConfig())
	if err != nil {
		return nil, err
	}
	probes := []observe.Probe{balancer}
	for _, server := range r.stage.cluster.APIServers() {
		probe, err := r.apiProbe(server.Node, server.Config)
		if err != nil {
			return nil, err
		}
		probes = append(probes, probe)
	}
	for _, node := range r.stage.env.Etcd.Nodes() {
		probes = append(probes, observe.Probe{Subject: "etcd/" + node, Interval: etcdInterval, Ask: func(ctx context.Context) error {
			return r.stage.env.Etcd.Serves(ctx, node)
		}})
	}
	for _, p := range r.File.Spec.Probes {
		client, ok := r.stage.cluster.(cluster.ServiceClient)
		if !ok {
			return nil, fmt.Errorf("cluster lacks the capability %q, which its provider promised", cluster.CapService)
		}
		target := cluster.ServicePort{Namespace: p.Service.Namespace, Name: p.Service.Name, Port: p.Service.Port}
		probes = append(probes, observe.Probe{
			Subject:  fmt.Sprintf("service/%s/%s:%d", target.Namespace, target.Name, target.Port),
			Interval: p.Interval.Duration,
			Ask: func(ctx context.Context) error {
				_, err := client.Request(ctx, target)
				return err
			},
		})
	}
	return probes, nil
}

// apiProbe asks an API server whether it is ready, as a load balancer's health check does. Where certificates are looked at, each time on a new connection, as a client that comes: one that
// stays does not see that a certificate has expired.
// https://kubernetes.io/docs/reference/using-api/health-checks/
func (r *rehearsal) apiProbe(name string, config *rest.Config) (observe.Probe, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return observe.Probe{}, fmt.Errorf("make client for api/%s: %w", name, err)
	}
	interval := apiInterval
	fresh := r.File.LooksAtCertificates()
	if fresh {
		interval = freshInterval
	}
	url := strings.TrimSuffix(config.Host, "/") + "/readyz"
	return observe.Probe{Subject: "api/" + name, Interval: interval, Ask: func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		client := client
		if fresh {
			tls, err := cluster.TLS(config)
			if err != nil {
				return err
			}
			client = &http.Client{Transport: &http.Transport{TLSClientConfig: tls, DialContext: config.Dial, DisableKeepAlives: true}}
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<16)); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz answered %s", answer.Status)
		}
		return nil
	}}, nil
}

// stopObserving ends the observers, whatever became of the run.
func (r *rehearsal) stopObserving() error {
	if r.stage == nil {
		return nil
	}
	if r.stage.env.Background != nil {
		r.stage.env.Background.Stop()
	}
	var err error
	if r.stage.probes != nil {
		err = r.stage.probes.Stop()
	}
	if r.stage.env.Informers != nil {
		r.stage.env.Informers.Stop()
	}
	if r.stage.watches != nil {
		r.stage.watches.Stop()
		err = errors.Join(err, r.stage.watches.Err())
	}
	return errors.Join(err, r.stage.env.Etcd.Close())
}

// standstills is what the reports say of the times in which this machine did not run, of a resumed run since it was resumed.
func (r *rehearsal) standstills() []string {
	if r.stage == nil || r.stage.probes == nil {
		return nil
	}
	return stoodStill(r.stage.probes.Standstills())
}

func stoodStill(all []trace.StandstillData) []string {
	if len(all) == 0 {
		return nil
	}
	longest := slices.MaxFunc(all, func(a, b trace.StandstillData) int { return cmp.Compare(a.Seconds, b.Seconds) })
	return []string{fmt.Sprintf("how often this machine stood still, as the recording notes: %d, for up to %.1f s; an outage that clients saw then may be none of the cluster's", len(all), longest.Seconds)}
}

// leaveCluster removes the cluster, or keeps it for a person to look at and says how.
func (r *rehearsal) leaveCluster(ctx context.Context, failed bool) ([]string, error) {
	if r.stage == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.CloseTimeout)
	defer cancel()
	if r.Keep == KeepAlways || r.Keep == KeepOnFailure && failed {
		if keeper, ok := r.stage.cluster.(cluster.Keeper); ok {
			return keeper.Keep(ctx)
		}
	}
	if err := r.stage.cluster.Close(ctx); err != nil {
		return nil, fmt.Errorf("remove the cluster: %w", err)
	}
	return nil, nil
}
