package restore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/etcd"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// Lose is the step loseEtcd.
type Lose struct{}

// Kind implements procedure.Procedure.
func (Lose) Kind() string { return "loseEtcd" }

// Needs implements procedure.Procedure.
func (Lose) Needs() []cluster.Capability {
	return []cluster.Capability{cluster.CapEtcd, cluster.CapRestore}
}

// Plan implements procedure.Procedure.
func (Lose) Plan(step scenario.Step, s plan.Setting) *plan.Op {
	nodes, all := step.LoseEtcd.Nodes, s.ControlPlanes()
	if len(nodes) == 0 {
		nodes = all
	}
	title := "destroy the data of every member of etcd"
	if len(nodes) < len(all) {
		title = fmt.Sprintf("destroy the data of etcd on %d of %d control planes", len(nodes), len(all))
	}
	return &plan.Op{ID: step.ID, Title: title, Procedure: "loseEtcd", Action: "lose", Options: nodes, Timeout: procedure.Quick, Stops: true}
}

// Do implements procedure.Procedure. What the members had last is in the recording before they lose it.
func (Lose) Do(ctx context.Context, env *procedure.Env, _ scenario.Step, op *plan.Op) error {
	restorer, err := restorerOf(env)
	if err != nil {
		return err
	}
	nodes, ok := op.Options.([]string)
	if !ok {
		return fmt.Errorf("op %q has options of type %T", op.ID, op.Options)
	}
	ends := map[string]*trace.EtcdEndData{}
	for _, node := range nodes {
		ends[node] = &trace.EtcdEndData{Time: time.Now().UTC(), Node: node, Lost: true}
		if err := ending(ctx, env, ends[node]); err != nil {
			return err
		}
	}
	for _, node := range nodes {
		if err := restorer.LoseMember(ctx, node); err != nil {
			return err
		}
		if err := ending(ctx, env, ends[node]); err != nil {
			return err
		}
		if _, err := env.Etcd.Status(ctx, node); err == nil {
			return fmt.Errorf("etcd/%s was to lose its data, and still answers", node)
		}
		fmt.Fprintf(env.Log, "etcd/%s has no data any more\n", node)
	}
	return nil
}

// ending puts into the recording that a member is about to end, or has, with what it has as far as it says.
func ending(ctx context.Context, env *procedure.Env, said *trace.EtcdEndData) error {
	if s, err := env.Etcd.Status(ctx, said.Node); err == nil {
		said.Answered, said.Revision = true, s.Revision
	}
	said.Until = time.Now().UTC()
	return env.Record(trace.KindFact, "etcd/"+said.Node, trace.EtcdEnding, *said)
}

// Restore is the step restore.
type Restore struct{}

// The actions of its ops.
const (
	actionAll   = "all"
	actionCheck = "check" // is the backup whole, before anything is touched?
	actionStop  = "stop"  // every control plane
	actionData  = "data"  // of one member
	actionKey   = "key"   // another encryption key
	actionStart = "start" // every control plane
	actionReady = "ready" // is everything as in the backup, and does the cluster work?
)

// Kind implements procedure.Procedure.
func (Restore) Kind() string { return "restore" }

// Needs implements procedure.Procedure.
func (Restore) Needs() []cluster.Capability {
	return []cluster.Capability{cluster.CapEtcd, cluster.CapRestore}
}

// Plan implements procedure.Procedure.
func (Restore) Plan(step scenario.Step, s plan.Setting) *plan.Op {
	spec := step.Restore
	root := &plan.Op{ID: step.ID, Title: "restore etcd from " + spec.Backup, Procedure: "restore", Action: actionAll, Options: spec}
	op := func(id, action, node, format string, args ...any) {
		root.Ops = append(root.Ops, &plan.Op{
			ID: step.ID + "/" + id, Title: fmt.Sprintf(format, args...), Procedure: "restore", Action: action, Node: node, Timeout: plan.Seconds(spec.Timeout.Duration),
			Stops: action == actionStop, Starts: action == actionStart,
		})
	}
	if !spec.Unchecked {
		op("check", actionCheck, "", "look whether %s is whole, before anything is touched", spec.Backup)
	}
	op("stop", actionStop, "", "stop %s on every control plane", strings.Join(spec.Stop, ", "))
	nodes, old := spec.Nodes, "keep"
	if len(nodes) == 0 {
		nodes = s.ControlPlanes()
	}
	if spec.RemoveOld {
		old = "remove"
	}
	for _, node := range nodes {
		op(node+"/data", actionData, node, "make the data of etcd on %s from the snapshot, and %s the old", node, old)
	}
	if spec.NewKey {
		op("key", actionKey, "", "give the API servers another encryption key")
	}
	op("start", actionStart, "", "start what was stopped")
	op("ready", actionReady, "", "compare etcd with %s, and wait until the cluster works", spec.Backup)
	return root
}

// Do implements procedure.Procedure.
func (Restore) Do(ctx context.Context, env *procedure.Env, step scenario.Step, op *plan.Op) error {
	restorer, err := restorerOf(env)
	if err != nil {
		return err
	}
	w := work{env: env, restorer: restorer, step: step}
	switch op.Action {
	case actionCheck:
		return w.check(ctx)
	case actionStop:
		return w.stop(ctx)
	case actionData:
		return w.data(ctx, op.Node)
	case actionKey:
		return w.newKey(ctx)
	case actionStart:
		return w.each(ctx, func(ctx context.Context, node string) error { return restorer.StartComponents(ctx, node) })
	case actionReady:
		return w.ready(ctx)
	}
	return fmt.Errorf("op %q has the unknown action %q", op.ID, op.Action)
}

// work is a restore under way.
type work struct {
	env      *procedure.Env
	restorer cluster.EtcdRestorer
	step     scenario.Step
}

func (w work) snapshot(ctx context.Context) (string, error) {
	path, _, err := here(ctx, w.env, w.step.Restore.Backup)
	return path, err
}

// check looks whether the backup is whole: afterwards there may be nothing else (d-32).
func (w work) check(ctx context.Context) error {
	path, err := w.snapshot(ctx)
	if err == nil {
		_, _, err = backup.Open(ctx, path)
	}
	if errors.Is(err, backup.ErrUnfit) {
		return procedure.Failf("%v", err)
	}
	if err != nil {
		return err
	}
	return w.env.Record(trace.KindFact, w.backup(), trace.BackupChecked, trace.CheckedData{Time: time.Now().UTC()})
}

// stop stops every control plane, side by side: no API server may write to a member that another has restored. Members of etcd end after all else: they are asked what they have when nobody
// writes any more. Whoever leaves some running has a finding for it.
func (w work) stop(ctx context.Context) error {
	ends := map[string]*trace.EtcdEndData{}
	for _, node := range w.env.Etcd.Nodes() {
		ends[node] = &trace.EtcdEndData{Time: time.Now().UTC(), Node: node}
		if err := ending(ctx, w.env, ends[node]); err != nil {
			return err
		}
	}
	stop, isEtcd := w.step.Restore.Stop, func(component string) bool { return component == "etcd" }
	if err := w.stopAll(ctx, slices.DeleteFunc(slices.Clone(stop), isEtcd)); err != nil {
		return err
	}
	for _, node := range w.env.Etcd.Nodes() {
		if err := ending(ctx, w.env, ends[node]); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(stop, isEtcd) {
		if err := w.stopAll(ctx, []string{"etcd"}); err != nil {
			return err
		}
	}
	for _, node := range w.env.Etcd.Nodes() {
		if _, err := w.env.Etcd.Status(ctx, node); err == nil {
			return fmt.Errorf("etcd/%s was to be stopped, and still answers", node)
		}
	}
	return nil
}

// stopAll stops components on every control plane.
func (w work) stopAll(ctx context.Context, components []string) error {
	if len(components) == 0 {
		return nil
	}
	return w.each(ctx, func(ctx context.Context, node string) error { return w.restorer.StopComponents(ctx, node, components) })
}

// each does something on every control plane, side by side.
func (w work) each(ctx context.Context, do func(ctx context.Context, node string) error) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, node := range w.env.Etcd.Nodes() {
		all.Go(func() error { return do(ctx, node) })
	}
	return all.Wait()
}

func (w work) data(ctx context.Context, node string) error {
	spec := w.step.Restore
	path, err := w.snapshot(ctx)
	if err != nil {
		return err
	}
	err = w.restorer.RestoreMember(ctx, node, path, cluster.EtcdRestore{Token: w.token(), BumpRevision: w.bump(), MarkCompacted: *spec.MarkCompacted, RemoveOld: spec.RemoveOld})
	if err != nil {
		return err
	}
	fmt.Fprintf(w.env.Log, "etcd/%s has the data of %s\n", node, spec.Backup)
	return w.env.Record(trace.KindFact, "etcd/"+node, trace.EtcdReplaced, trace.EtcdReplacedData{
		Time: time.Now().UTC(), Node: node, Backup: w.backup(), Removed: spec.RemoveOld,
	})
}

// newKey gives every API server the same new encryption key, which nobody keeps.
func (w work) newKey(ctx context.Context) error {
	encryption, ok := w.env.Cluster.(cluster.Encryption)
	if !ok {
		return fmt.Errorf("cluster lacks the capability %q, which its provider promised", cluster.CapEncryption)
	}
	key := cluster.NewEncryptionKey()
	return w.each(ctx, func(ctx context.Context, node string) error { return encryption.SetEncryptionKey(ctx, node, key) })
}

// recordKept looks whether what the members had before is still there: until the restore has been judged it is the only way back.
func (w work) recordKept(ctx context.Context) error {
	return w.each(ctx, func(ctx context.Context, node string) error {
		if !w.restores(node) {
			return nil
		}
		folder, size, err := w.restorer.KeptData(ctx, node, w.token())
		if err != nil {
			return fmt.Errorf("look for what etcd/%s had before: %w", node, err)
		}
		return w.env.Record(trace.KindFact, "etcd/"+node, trace.EtcdKept, trace.EtcdKeptData{Node: node, Folder: folder, SizeBytes: size})
	})
}

// token is the new cluster's, and this restore's alone.
func (w work) token() string { return w.env.Run + "-" + w.step.ID }

func (w work) bump() uint64 { return uint64(*w.step.Restore.BumpRevision) }

// backup and restore are the subjects of the facts about them.
func (w work) backup() string  { return "backup/" + w.step.Restore.Backup }
func (w work) restore() string { return "restore/" + w.step.ID }

// ready waits until the API of the restored members answers, compares what etcd has with the backup, and waits until the rest of the cluster follows.
func (w work) ready(ctx context.Context) error {
	if err := w.recordKept(ctx); err != nil {
		return err
	}
	servers := w.env.Cluster.APIServers()
	for _, server := range servers {
		if w.restores(server.Node) {
			if err := procedure.AwaitAPIServer(ctx, server, ""); err != nil {
				return errors.Join(err, w.lookForSecrets(ctx)) // one that can't read them is never ready
			}
		}
	}
	began := time.Now()
	if err := w.env.Relist(ctx); err != nil {
		return err
	}
	if err := w.compare(ctx, began); err != nil {
		return err
	}
	if err := procedure.AwaitEtcd(ctx, w.env); err != nil {
		return err
	}
	for _, server := range servers {
		if err := procedure.AwaitAPIServer(ctx, server, ""); err != nil {
			return err
		}
	}
	if err := w.follow(ctx, began); err != nil {
		return err
	}
	return errors.Join(w.recordStarts(ctx), w.readSecrets(ctx), w.compareInformers(ctx), w.settled())
}

// settled says of every control plane that it works again.
func (w work) settled() error {
	var errs []error
	for _, node := range w.env.Etcd.Nodes() {
		errs = append(errs, w.restorer.Settled(node))
	}
	return errors.Join(errs...)
}

// restores tells whether the node's member is restored.
func (w work) restores(node string) bool {
	return len(w.step.Restore.Nodes) == 0 || slices.Contains(w.step.Restore.Nodes, node)
}

// follow waits until the controllers, the kubelets and the workloads follow the API.
func (w work) follow(ctx context.Context, since time.Time) error {
	if err := procedure.AwaitLeaders(ctx, w.env, time.Now()); err != nil {
		return err
	}
	for _, node := range w.env.Cluster.Nodes() {
		if err := w.env.Objects.AwaitRenewed(ctx, node.Name, since); err != nil {
			return procedure.FromWait(err)
		}
		if err := w.env.Objects.AwaitCondition(ctx, objects.Ref{Kind: "node", Name: node.Name}, "Ready", "True"); err != nil {
			return procedure.FromWait(err)
		}
	}
	return procedure.AwaitWorkloads(ctx, w.env, true)
}

// compare reads every member as it was at the moment when it was restored, and puts what it finds into the recording. A member that has nothing of that has no hash.
func (w work) compare(ctx context.Context, answered time.Time) error {
	m, err := backup.ReadManifest(file(w.env, w.step.Restore.Backup))
	if err != nil {
		return err
	}
	said := trace.RestoreData{
		Backup: w.backup(), Answered: answered.UTC(), Revision: m.File.Revision + int64(w.bump()), ClusterIDs: map[string]string{}, Hashes: map[string]string{},
		Differences: []string{}, Backed: m.Digest.Objects(), BackedDigest: m.Digest.Hash(),
	}
	for _, c := range w.env.Etcd.Clients() {
		status, err := w.env.Etcd.Status(ctx, c.Node)
		if err != nil && w.restores(c.Node) {
			return err
		}
		said.ClusterIDs[c.Node] = status.ClusterID
		if err != nil {
			said.Hashes[c.Node] = ""
			continue
		}
		if said.Hashes[c.Node], err = hash(ctx, c, said.Revision); err != nil && w.restores(c.Node) {
			return err
		}
		if said.Digest != "" || !w.restores(c.Node) {
			continue // the members' hashes say whether the others have the same
		}
		if err := w.differences(ctx, c.Client, m, &said); err != nil {
			return err
		}
	}
	return w.env.Record(trace.KindFact, w.restore(), trace.EtcdRestored, said)
}

// hashTimeout is how long a member may take to hash what it has: a gigabyte took a few seconds.
const hashTimeout = 20 * time.Second

// hash asks a member for the hash of its keys and values at a revision. One that serves nobody does not say so.
func hash(ctx context.Context, c etcd.Client, revision int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, hashTimeout)
	defer cancel()
	answer, err := c.HashKV(ctx, c.Endpoint, revision)
	if err != nil {
		return "", fmt.Errorf("ask etcd/%s for its hash at revision %d: %w", c.Node, revision, err)
	}
	return fmt.Sprintf("%x", answer.Hash), nil
}

func (w work) differences(ctx context.Context, kv clientv3.KV, m *backup.Manifest, said *trace.RestoreData) error {
	digest, err := backup.OfCluster(ctx, kv, said.Revision)
	if err != nil {
		return err
	}
	said.Restored, said.Digest = digest.Objects(), digest.Hash()
	for _, d := range backup.Compare(&m.Digest, digest, true) {
		said.Differences = append(said.Differences, d.String())
	}
	return nil
}

// recordStarts puts into the recording since when the components run.
func (w work) recordStarts(ctx context.Context) error {
	for _, node := range w.env.Etcd.Nodes() {
		since, within, err := w.restorer.Started(ctx, node)
		if err != nil {
			return err
		}
		for _, component := range slices.Sorted(maps.Keys(since)) {
			said := trace.StartData{Restore: w.restore(), Time: since[component].UTC(), WithinSeconds: within.Seconds()}
			if err := w.env.Record(trace.KindFact, "component/"+node+"/"+component, trace.ComponentStarted, said); err != nil {
				return err
			}
		}
	}
	return nil
}

// secretsTimeout is how long API servers that are not ready may take to answer.
const secretsTimeout = 20 * time.Second

// lookForSecrets is readSecrets when the time is over.
func (w work) lookForSecrets(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), secretsTimeout)
	defer cancel()
	return w.readSecrets(ctx)
}

// readAtMost is how many Secrets each API server is asked for.
const readAtMost = 100

// readSecrets has every API server read Secrets one by one, which it can't with another encryption key than they were written with. It is not asked for a list: it would wait for its own
// watch, which then never comes to an end. One that gives no answer says nothing about Secrets: then nothing is recorded, and the policy says that nobody could read them.
func (w work) readSecrets(ctx context.Context) error {
	m, err := backup.ReadManifest(file(w.env, w.step.Restore.Backup))
	if err != nil {
		return err
	}
	said := trace.SecretsData{}
	if secrets := m.Digest.Resources["secrets"]; secrets != nil {
		said.Secrets = secrets.Objects
	}
	names, err := w.secretNames(ctx)
	if err != nil {
		fmt.Fprintf(w.env.Log, "which Secrets there are is not known: %v\n", err)
		return nil
	}
	said.Asked, said.Read = len(names), len(names)
	for _, server := range w.env.Cluster.APIServers() {
		read, err := readEach(ctx, server, names)
		said.Read = min(said.Read, read)
		switch {
		case err == nil:
		case answered(err):
			said.Problem = fmt.Sprintf("api/%s: %v", server.Node, err)
		default:
			fmt.Fprintf(w.env.Log, "api/%s did not say whether it can read Secrets: %v\n", server.Node, err)
			return nil
		}
	}
	return w.env.Record(trace.KindFact, w.restore(), trace.SecretsRead, said)
}

// readEach has an API server read Secrets, and returns how many it read until the first error. One that is gone by now is not read.
func readEach(ctx context.Context, server cluster.APIServer, names []types.NamespacedName) (read int, err error) {
	client, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		return 0, fmt.Errorf("make client for api/%s: %w", server.Node, err)
	}
	for _, name := range names {
		_, err := client.CoreV1().Secrets(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
		switch {
		case err == nil:
			read++
		case !apierrors.IsNotFound(err):
			return read, err
		}
	}
	return read, nil
}

// secretsPrefix is where the API servers keep Secrets in etcd, as SECRETS/NAMESPACE/NAME.
const secretsPrefix = "/registry/secrets/"

// secretNames are those of the first Secrets that etcd has; their values are not read.
func (w work) secretNames(ctx context.Context) ([]types.NamespacedName, error) {
	var last error
	for _, c := range w.env.Etcd.Clients() {
		found, err := c.Get(ctx, secretsPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(readAtMost))
		if err != nil {
			last = err
			continue
		}
		var names []types.NamespacedName
		for _, kv := range found.Kvs {
			namespace, name, ok := strings.Cut(strings.TrimPrefix(string(kv.Key), secretsPrefix), "/")
			if ok {
				names = append(names, types.NamespacedName{Namespace: namespace, Name: name})
			}
		}
		return names, nil
	}
	return nil, last
}

// answered tells whether an error is an API server's answer, and not the lack of one.
func answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

// informersTimeout is how long informers may take to know what the API has: they list anew when the API tells them that their version is too old.
const informersTimeout = 20 * time.Second

func (w work) compareInformers(ctx context.Context) error {
	if w.env.Informers == nil {
		return nil // and the policy says that it could not tell
	}
	known, stale, err := w.env.Informers.Compare(ctx, informersTimeout)
	if err != nil {
		return err
	}
	return w.env.Record(trace.KindFact, w.restore(), trace.InformersCompared, trace.InformersData{Since: w.env.Informers.Since().UTC(), Objects: known, Stale: stale})
}
