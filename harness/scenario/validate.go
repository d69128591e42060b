package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/util/jsonpath"
)

// Bounds that keep a scenario from asking for more than a machine can be.
const (
	MaxControlPlanes = 7
	MaxWorkers       = 5000
	MaxSteps         = 1000
	MaxProbes        = 100
	MaxFaults        = 100
	MaxHops          = 10                    // minors that one upgrade goes through
	MaxBump          = 1 << 40               // revisions that a restore skips
	MinInterval      = 10 * time.Millisecond // between two requests of a probe
	MinRetryDelay    = 100 * time.Millisecond
	MinValidity      = 2 * time.Minute // of certificates: a kind cluster takes one to be made
	MaxExpiry        = time.Hour       // of certificates whose end is waited for
)

// The defaults that the struct tags document.
const (
	DefaultVersion       = "v1.34"
	DefaultControlPlanes = 1
	DefaultWorkers       = 2
	DefaultInterval      = 200 * time.Millisecond
	DefaultTimeout       = 2 * time.Minute
	DefaultDrain         = 5 * time.Minute
	DefaultRetryDelay    = 5 * time.Second // kubectl drain's
	DefaultUpgrade       = 10 * time.Minute
	DefaultFault         = 30 * time.Second
	DefaultBackup        = 5 * time.Minute
	DefaultRenewal       = 5 * time.Minute
	DefaultWatch         = 30 * time.Second
	// DefaultBump is what etcd's documentation proposes: a billion revisions, which no cluster writes between a backup and its use.
	DefaultBump = 1_000_000_000
)

// setDefaults fills in what the file leaves out; written says whether it has a field with that path.
func (f *File) setDefaults(written func(path string) bool) {
	spec := &f.Spec
	c := &spec.Cluster
	if c.KubernetesVersion == "" {
		c.KubernetesVersion = DefaultVersion
	}
	if !written("spec.cluster.controlPlanes") {
		c.ControlPlanes = DefaultControlPlanes
	}
	if !written("spec.cluster.workers") {
		c.Workers = DefaultWorkers
	}
	for i := range spec.Probes {
		p := &spec.Probes[i]
		p.Interval.Duration = p.Interval.Or(DefaultInterval)
		if p.Service != nil && p.Service.Namespace == "" {
			p.Service.Namespace = "default"
		}
	}
	for _, s := range spec.Steps {
		s.setDefaults()
	}
	for _, f := range spec.Faults {
		f.setDefaults()
	}
	if spec.Expect.Verdict == "" {
		spec.Expect.Verdict = Passed
	}
}

func (s Step) setDefaults() {
	timeout := func(d *Duration, fallback time.Duration) { d.Duration = d.Or(fallback) }
	namespace := func(n *string) {
		if *n == "" {
			*n = "default"
		}
	}
	switch {
	case s.Apply != nil:
		timeout(&s.Apply.Timeout, DefaultTimeout)
	case s.Wait != nil:
		timeout(&s.Wait.Timeout, DefaultTimeout)
		namespace(&s.Wait.Namespace)
	case s.Drain != nil:
		s.Drain.setDefaults()
	case s.Scale != nil:
		timeout(&s.Scale.Timeout, DefaultTimeout)
		namespace(&s.Scale.Namespace)
	case s.Delete != nil:
		timeout(&s.Delete.Timeout, DefaultTimeout)
		namespace(&s.Delete.Namespace)
	case s.Upgrade != nil:
		s.Upgrade.setDefaults()
	case s.UpgradeNode != nil:
		timeout(&s.UpgradeNode.Timeout, DefaultUpgrade)
	case s.Backup != nil:
		timeout(&s.Backup.Timeout, DefaultBackup)
		s.Backup.To = cmp.Or(s.Backup.To, KeptHere)
	case s.VerifyBackup != nil:
		timeout(&s.VerifyBackup.Timeout, DefaultBackup)
	case s.Restore != nil:
		timeout(&s.Restore.Timeout, DefaultBackup)
		if bump := int64(DefaultBump); s.Restore.BumpRevision == nil {
			s.Restore.BumpRevision = &bump
		}
		if mark := true; s.Restore.MarkCompacted == nil {
			s.Restore.MarkCompacted = &mark
		}
		if len(s.Restore.Stop) == 0 {
			s.Restore.Stop = slices.Clone(Components)
		}
	case s.CheckCertificates != nil:
		timeout(&s.CheckCertificates.Timeout, DefaultTimeout)
	case s.RenewCertificates != nil:
		s.RenewCertificates.setDefaults()
	case s.RotateCA != nil:
		timeout(&s.RotateCA.Timeout, DefaultRenewal)
		if bundle := true; s.RotateCA.Bundle == nil {
			s.RotateCA.Bundle = &bundle
		}
	case s.WaitUntilExpired != nil:
		timeout(&s.WaitUntilExpired.Watch, DefaultWatch)
	case s.PowerOn != nil:
		timeout(&s.PowerOn.Timeout, DefaultTimeout)
	}
}

func (f Fault) setDefaults() {
	for _, node := range []*NodeFault{f.PowerOff, f.CutOff, f.FillDisk, f.EtcdNoSpace} {
		if node != nil {
			node.For.Duration = node.For.Or(DefaultFault)
		}
	}
	if f.Pause != nil {
		f.Pause.For.Duration = f.Pause.For.Or(DefaultFault)
	}
}

func (r *RenewCertificates) setDefaults() {
	r.Timeout.Duration = r.Timeout.Or(DefaultRenewal)
	r.Restart = cmp.Or(r.Restart, RestartStaticPods)
	if len(r.Names) == 0 {
		r.Names = []string{"all"}
	}
}

func (d *DrainOptions) setDefaults() {
	d.Timeout.Duration = d.Timeout.Or(DefaultDrain)
	d.RetryDelay.Duration = d.RetryDelay.Or(DefaultRetryDelay)
}

func (u *Upgrade) setDefaults() {
	u.Hops = cmp.Or(u.Hops, HopsThrough)
	u.ControlPlanes.Kubelets = cmp.Or(u.ControlPlanes.Kubelets, KubeletsLast)
	u.Workers.Parallel = cmp.Or(u.Workers.Parallel, 1)
	u.Workers.MaxUnavailable = cmp.Or(u.Workers.MaxUnavailable, max(1, u.Workers.Parallel))
	u.Drain.IgnoreDaemonSets = true
	u.Drain.setDefaults()
	u.Timeout.Duration = u.Timeout.Or(DefaultUpgrade)
}

// checker validates one file; every method reports what it finds and goes on.
type checker struct {
	*decoder
	nodes []string
	// backups are the steps before that took one.
	backups []string
	// encrypts says that the API servers encrypt Secrets.
	encrypts bool
	// validity is how long certificates live; 0 means long.
	validity time.Duration
	// stored are those of them that are in object storage.
	stored []string
	// restores is how many steps restore.
	restores int
	// version is what the control planes have when the step that is checked begins, as far as the file says it.
	version string
	// upgradedNode says that a step before upgrades a node alone: which one has which version is not followed.
	upgradedNode bool
}

func (f *File) validate(d *decoder) {
	c := &checker{decoder: d, version: f.Spec.Cluster.KubernetesVersion, encrypts: f.Spec.Cluster.EncryptSecrets}
	for _, n := range f.Nodes() {
		c.nodes = append(c.nodes, n.Name)
	}
	c.oneOf("apiVersion", f.APIVersion, APIVersion)
	c.oneOf("kind", f.Kind, Kind)
	c.label("metadata.name", f.Metadata.Name)
	c.cluster(f.Spec.Cluster)
	if certificates := f.Spec.Cluster.Certificates; certificates != nil {
		c.validity = certificates.Validity.Duration
		c.certificates(*certificates)
	}
	for i, o := range f.Spec.Objects {
		c.notEmpty(fmt.Sprintf("spec.objects[%d].file", i), o.File)
	}
	c.probes(f.Spec.Probes)
	c.steps(f.Spec.Steps)
	c.faults(f.Spec.Faults)
	c.policies(f.Spec.Policies)
	c.oneOf("spec.expect.verdict", string(f.Spec.Expect.Verdict), string(Passed), string(Failed), string(Errored))
	if f.Spec.Expect.Verdict == Passed && len(f.Spec.Expect.Findings) > 0 {
		c.report("spec.expect.findings", "findings are expected, so the verdict can't be Passed")
	}
}

func (c *checker) report(path, format string, args ...any) {
	c.errorf(c.at(path), "%s: "+format, append([]any{path}, args...)...)
}

func (c *checker) notEmpty(path, value string) {
	if value == "" {
		c.report(path, "is empty")
	}
}

func (c *checker) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.report(path, "%q is not %s", value, strings.Join(allowed, " or "))
	}
}

func (c *checker) label(path, value string) {
	for _, problem := range validation.IsDNS1123Label(value) {
		c.report(path, "%q: %s", value, problem)
	}
}

func (c *checker) node(path, name string) {
	if !slices.Contains(c.nodes, name) {
		c.report(path, "node %q does not exist; the cluster has %s", name, listed(c.nodes))
	}
}

// controlPlane is a node whose etcd has a member.
func (c *checker) controlPlane(path, name string) {
	c.node(path, name)
	if slices.Contains(c.nodes, name) && !strings.HasPrefix(name, "cp-") {
		c.report(path, "%q is no control plane; etcd runs on those", name)
	}
}

func (c *checker) controlPlanes(path string, names []string) {
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		if slices.Contains(names[:i], name) {
			c.report(at, "%q is there twice", name)
		}
		c.controlPlane(at, name)
	}
}

// backup is the id of a step before this one that takes a backup.
func (c *checker) backup(path, id string) {
	if !slices.Contains(c.backups, id) {
		c.report(path, "no step %q before this one takes a backup", id)
	}
}

func listed(names []string) string {
	if len(names) > 10 {
		return strings.Join(names[:10], ", ") + fmt.Sprintf(" and %d more", len(names)-10)
	}
	return strings.Join(names, ", ")
}

var versionPattern = regexp.MustCompile(`^v1\.\d+(\.\d+)?$`)

func (c *checker) kubernetesVersion(path, value string) bool {
	ok := versionPattern.MatchString(value)
	if !ok {
		c.report(path, "%q is neither a minor such as v1.34 nor a version such as v1.34.4", value)
	}
	return ok
}

func (c *checker) cluster(spec Cluster) {
	c.kubernetesVersion("spec.cluster.kubernetesVersion", spec.KubernetesVersion)
	if n := spec.ControlPlanes; n < 1 || n > MaxControlPlanes || n%2 == 0 {
		c.report("spec.cluster.controlPlanes", "%d is not an odd number from 1 to %d: an even number of etcd members survives no more than one fewer", n, MaxControlPlanes)
	}
	if n := spec.Workers; n < 0 || n > MaxWorkers {
		c.report("spec.cluster.workers", "%d is not a number from 0 to %d", n, MaxWorkers)
	}
	for _, gate := range slices.Sorted(maps.Keys(spec.FeatureGates)) {
		if !gatePattern.MatchString(gate) {
			c.report("spec.cluster.featureGates."+gate, "%q is no name of a feature gate, such as ElasticIndexedJob", gate)
		}
	}
	for _, api := range slices.Sorted(maps.Keys(spec.RuntimeConfig)) {
		if !apiPattern.MatchString(api) {
			c.report("spec.cluster.runtimeConfig."+api, "%q is no API, such as api/beta or admissionregistration.k8s.io/v1beta1", api)
		}
	}
}

func (c *checker) certificates(spec Certificates) {
	if v := spec.Validity.Duration; v > 0 && v < MinValidity {
		c.report("spec.cluster.certificates.validity", "%s is less than %s", v, MinValidity)
	}
	if v := spec.AuthorityValidity.Duration; v > 0 && v < max(MinValidity, spec.Validity.Duration) {
		c.report("spec.cluster.certificates.authorityValidity", "%s is less than %s, and than what it signs", v, max(MinValidity, spec.Validity.Duration))
	}
}

func (c *checker) renewal(path string, r *RenewCertificates) {
	for i, name := range r.Names {
		at := fmt.Sprintf("%s.names[%d]", path, i)
		c.oneOf(at, name, CertificateNames...)
		if slices.Contains(r.Names[:i], name) || name == "all" && len(r.Names) > 1 {
			c.report(at, "%q is there twice, or all are anyway", name)
		}
	}
	c.controlPlanes(path+".nodes", r.Nodes)
	c.oneOf(path+".restart", r.Restart, RestartStaticPods, RestartKubelet, RestartNone)
	if r.AtOnce && r.Restart != RestartStaticPods {
		c.report(path+".atOnce", "nothing is restarted that could be at once; restart is %s", r.Restart)
	}
}

// What may stand before a "=" in lists of flags, and nothing that ends it there.
var (
	gatePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)
	apiPattern  = regexp.MustCompile(`^[a-z0-9]([a-z0-9./-]*[a-z0-9])?$`)
)

func (c *checker) probes(probes []Probe) {
	if len(probes) > MaxProbes {
		c.report("spec.probes", "%d probes; there may be %d", len(probes), MaxProbes)
	}
	names := map[string]bool{}
	for i, p := range probes {
		path := fmt.Sprintf("spec.probes[%d]", i)
		c.label(path+".name", p.Name)
		if names[p.Name] {
			c.report(path+".name", "%q is used twice", p.Name)
		}
		names[p.Name] = true
		if p.Interval.Duration < MinInterval {
			c.report(path+".interval", "%s is less than %s", p.Interval, MinInterval)
		}
		if p.Service.Port < 1 || p.Service.Port > 65535 {
			c.report(path+".service.port", "%d is not a port", p.Service.Port)
		}
		c.label(path+".service.namespace", p.Service.Namespace)
		c.label(path+".service.name", p.Service.Name)
	}
}

func (c *checker) steps(steps []Step) {
	if len(steps) == 0 || len(steps) > MaxSteps {
		c.report("spec.steps", "%d steps; there must be 1 to %d", len(steps), MaxSteps)
	}
	ids := map[string]bool{}
	for i, s := range steps {
		path := fmt.Sprintf("spec.steps[%d]", i)
		c.label(path+".id", s.ID)
		if slices.Contains(ReservedIDs, s.ID) {
			c.report(path+".id", "%q names what the run does itself; choose another", s.ID)
		}
		if ids[s.ID] {
			c.report(path+".id", "%q is used twice", s.ID)
		}
		ids[s.ID] = true
		switch kinds := s.kinds(); len(kinds) {
		case 0:
			c.report(path, "step %q does nothing; give it one of %s", s.ID, strings.Join(Kinds(), ", "))
		case 1:
			c.step(path+"."+kinds[0], s)
		default:
			c.report(path, "step %q has %d kinds (%s); give each a step of its own", s.ID, len(kinds), strings.Join(kinds, ", "))
		}
	}
}

// faults checks what can be checked without a plan; that the operations are there the plan says.
func (c *checker) faults(faults []Fault) {
	if len(faults) > MaxFaults {
		c.report("spec.faults", "%d faults; there may be %d", len(faults), MaxFaults)
	}
	for i, f := range faults {
		path := fmt.Sprintf("spec.faults[%d]", i)
		when, op := f.Place()
		if !slices.Contains([]string{FaultBefore, FaultDuring, FaultAfter}, when) || op == "" || strings.Contains(op, " ") {
			c.report(path+".at", "%q is not before, during or after and the id of an operation", f.At)
		}
		kinds := pointers(f)
		if len(kinds) != 1 {
			c.report(path, "give it one of copyManifest, cutOff, etcdAlarmLeft, etcdNoSpace, etcdOrphan, fillDisk, kill, pause, powerOff; it has %d", len(kinds))
			continue
		}
		kind, node, component, _ := f.Kind()
		c.node(path+"."+kind+".node", node)
		if slices.Contains([]string{"copyManifest", "etcdAlarmLeft", "etcdNoSpace", "etcdOrphan", "kill", "pause"}, kind) {
			c.oneOf(path+"."+kind+".component", component, Components...)
			if !strings.HasPrefix(node, "cp-") {
				c.report(path+"."+kind+".node", "%q is no control plane; %s runs on those", node, component)
			}
		}
	}
}

// Components are what a control plane runs as static pods, and what faults of components happen to.
var Components = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}

// ReservedIDs are the ids of the ops that a run performs around the steps.
var ReservedIDs = []string{"cluster", "objects", "probes", "faults", "before", "after"}

func (c *checker) step(path string, s Step) {
	switch {
	case s.Apply != nil:
		c.notEmpty(path+".file", s.Apply.File)
	case s.Wait != nil:
		c.wait(path, s.Wait)
	case s.Cordon != nil:
		c.node(path+".node", s.Cordon.Node)
	case s.Drain != nil:
		c.drain(path, s.Drain)
	case s.Uncordon != nil:
		c.node(path+".node", s.Uncordon.Node)
	case s.Scale != nil:
		c.object(path, s.Scale.Object, "deployment", "statefulset")
		if n := s.Scale.Replicas; n != nil && *n < 0 {
			c.report(path+".replicas", "%d is less than 0", *n)
		}
	case s.Delete != nil:
		c.object(path, s.Delete.Object, "namespace", "deployment", "statefulset", "daemonset", "pod", "service", "configmap", "secret")
	case s.Upgrade != nil:
		c.upgrade(path, s.Upgrade)
	case s.UpgradeNode != nil:
		c.node(path+".node", s.UpgradeNode.Node)
		if c.kubernetesVersion(path+".to", s.UpgradeNode.To) && s.UpgradeNode.To == c.version && !c.upgradedNode {
			c.report(path+".to", "the cluster has %s already", c.version)
		}
		c.upgradedNode = true
	case s.Backup != nil:
		if s.Backup.Node != "" {
			c.controlPlane(path+".node", s.Backup.Node)
		}
		if s.Backup.Unasked && s.Backup.Node == "" {
			c.report(path+".unasked", "say which node: without asking the members none can be chosen")
		}
		c.oneOf(path+".to", s.Backup.To, KeptHere, KeptObjectStorage, KeptNode)
		if s.Backup.CronJob != nil {
			c.backupCronJob(path, s.Backup)
		}
		c.backups = append(c.backups, s.ID)
		if s.Backup.To == KeptObjectStorage {
			c.stored = append(c.stored, s.ID)
		}
	case s.DamageBackup != nil:
		c.backup(path+".backup", s.DamageBackup.Backup)
		if slices.Contains(c.stored, s.DamageBackup.Backup) {
			c.report(path+".backup", "%q is in object storage, and only a file here can be damaged", s.DamageBackup.Backup)
		}
		c.oneOf(path+".how", s.DamageBackup.How, DamageTruncated, DamageBitFlipped, DamageDatabase)
	case s.VerifyBackup != nil:
		c.backup(path+".backup", s.VerifyBackup.Backup)
	case s.LoseEtcd != nil:
		c.controlPlanes(path+".nodes", s.LoseEtcd.Nodes)
	case s.Restore != nil:
		if c.restores++; c.restores > 1 {
			c.report(path, "a scenario restores once: what is judged of a restore is not told apart from what is of another")
		}
		c.backup(path+".backup", s.Restore.Backup)
		c.controlPlanes(path+".nodes", s.Restore.Nodes)
		for i, component := range s.Restore.Stop {
			c.oneOf(fmt.Sprintf("%s.stop[%d]", path, i), component, Components...)
		}
		if s.Restore.NewKey && !c.encrypts {
			c.report(path+".newKey", "the cluster has no encryptSecrets")
		}
		if !slices.Contains(s.Restore.Stop, "etcd") {
			c.report(path+".stop", "it lacks etcd, whose data is not replaced while it runs")
		}
		n := *s.Restore.BumpRevision
		if n < 0 || n > MaxBump {
			c.report(path+".bumpRevision", "%d is not a number from 0 to %d", n, int64(MaxBump))
		}
		if n > 0 && !*s.Restore.MarkCompacted {
			c.report(path+".markCompacted", "etcdutl bumps a revision only when it marks it as compacted too; bumpRevision: 0 does neither")
		}
	case s.RenewCertificates != nil:
		c.renewal(path, s.RenewCertificates)
	case s.RotateCA != nil:
		if !*s.RotateCA.Bundle && slices.Contains(c.nodes, "cp-2") {
			c.report(path+".bundle", "with several control planes there must be a time in which both authorities are trusted: those that were not changed over yet could not be reached")
		}
	case s.WaitUntilExpired != nil:
		if c.validity == 0 || c.validity > MaxExpiry {
			c.report(path, "the cluster's certificates have no validity of at most %s (spec.cluster.certificates.validity), and nobody waits longer", MaxExpiry)
		}
	case s.PowerOff != nil:
		c.node(path+".node", s.PowerOff.Node)
	case s.PowerOn != nil:
		c.node(path+".node", s.PowerOn.Node)
	}
}

// upgrade checks a target against the version that the file gives the cluster. An older one is left to the plan's policies, as an upgrade that skips a minor on
// purpose is.
func (c *checker) upgrade(path string, u *Upgrade) {
	c.oneOf(path+".hops", u.Hops, HopsThrough, HopsNever, HopsSkip)
	c.oneOf(path+".controlPlanes.kubelets", u.ControlPlanes.Kubelets, KubeletsLast, KubeletsEach)
	c.drainOptions(path+".drain", u.Drain)
	if n := u.Workers.Parallel; n < 1 {
		c.report(path+".workers.parallel", "%d is less than 1", n)
	}
	if n := u.Workers.MaxUnavailable; n < 1 {
		c.report(path+".workers.maxUnavailable", "%d is less than 1", n)
	}
	seen := map[string]bool{}
	for i, name := range u.Workers.Order {
		at := fmt.Sprintf("%s.workers.order[%d]", path, i)
		switch {
		case seen[name]:
			c.report(at, "%q is there twice", name)
		case strings.HasPrefix(name, "cp-"):
			c.report(at, "%q is no worker", name)
		default:
			c.node(at, name)
		}
		seen[name] = true
	}
	from := c.version
	if !c.kubernetesVersion(path+".to", u.To) || !versionPattern.MatchString(from) {
		return
	}
	c.version = u.To
	switch minors := Minor(u.To) - Minor(from); {
	case minors == 0 && u.To == from:
		c.report(path+".to", "the cluster has %s already", from)
	case minors > 1 && u.Hops == HopsNever:
		c.report(path+".to", "%s is %d minors after %s, and hops is never: upgrade to v1.%d first, or let hops be through", u.To, minors, from, Minor(from)+1)
	case minors > MaxHops:
		c.report(path+".to", "%s is %d minors after %s; there may be %d", u.To, minors, from, MaxHops)
	}
}

// Minor is the minor of a version that a scenario may have: 34 of v1.34.4.
func Minor(version string) int {
	v, err := utilversion.ParseGeneric(version)
	if err != nil {
		return 0
	}
	return int(v.Minor())
}

func (c *checker) drain(path string, d *Drain) {
	c.node(path+".node", d.Node)
	c.drainOptions(path, d.DrainOptions)
}

func (c *checker) drainOptions(path string, d DrainOptions) {
	if _, err := labels.Parse(d.PodSelector); err != nil {
		c.report(path+".podSelector", "%v", err)
	}
	if d.RetryDelay.Duration < MinRetryDelay {
		c.report(path+".retryDelay", "%s is less than %s", d.RetryDelay, MinRetryDelay)
	}
	if g := d.GracePeriodSeconds; g != nil && *g < -1 {
		c.report(path+".gracePeriodSeconds", "%d is less than -1", *g)
	}
}

// WaitKinds are the kinds of object that can be waited for.
var WaitKinds = []string{"deployment", "statefulset", "daemonset", "pod", "node"}

func (c *checker) wait(path string, w *Wait) {
	if !w.Duration.IsZero() {
		if w.Object != "" || w.For != "" {
			c.report(path, "give either a duration, or an object and what it is waited for")
		}
		return
	}
	if w.Object == "" || w.For == "" {
		c.report(path, "give a duration, or an object and what it is waited for")
		return
	}
	c.object(path, w.Object, WaitKinds...)
	kind, name, _ := strings.Cut(w.Object, "/")
	jsonPath, _, isPath := CutJSONPath(w.For)
	switch what, _, _ := strings.Cut(w.For, "="); {
	case isPath:
		if err := jsonpath.New(path).Parse(jsonPath); err != nil {
			c.report(path+".for", "%v", err)
		}
	case kind == "node" && what != "condition":
		c.report(path+".for", "%q: nodes can be waited for by condition=NAME[=VALUE] or jsonpath={PATH}=VALUE", w.For)
	case what == "rollout" && kind == "pod":
		c.report(path+".for", "pods have no rollout; wait for condition=Ready")
	case what == "condition" && strings.TrimPrefix(w.For, "condition=") != w.For && w.For != "condition=":
	case w.For == "rollout", w.For == "delete":
	default:
		c.report(path+".for", "%q is not rollout, delete, condition=NAME[=VALUE] or jsonpath={PATH}=VALUE", w.For)
	}
	if kind == "node" {
		c.node(path+".object", name)
	}
}

// CutJSONPath takes jsonpath={PATH}=VALUE apart.
func CutJSONPath(what string) (path, value string, ok bool) {
	rest, found := strings.CutPrefix(what, "jsonpath={")
	path, value, closed := strings.Cut(rest, "}=")
	return "{" + path + "}", value, found && closed
}

// object checks a reference of the form kind/name.
func (c *checker) object(path, ref string, kinds ...string) {
	kind, name, ok := strings.Cut(ref, "/")
	if !ok || !slices.Contains(kinds, kind) {
		c.report(path+".object", "%q is not KIND/NAME with a kind of %s", ref, strings.Join(kinds, ", "))
		return
	}
	for _, problem := range validation.IsDNS1123Subdomain(name) {
		c.report(path+".object", "%q: %s", ref, problem)
	}
}

func (c *checker) policies(p Policies) {
	for i, e := range p.Except {
		path := fmt.Sprintf("spec.policies.except[%d]", i)
		c.notEmpty(path+".id", e.ID)
		c.notEmpty(path+".subject", e.Subject)
		if strings.TrimSpace(e.Reason) == "" {
			c.report(path+".reason", "say why the finding is accepted")
		}
	}
}

// backupCronJob checks a backup that a CronJob takes.
func (c *checker) backupCronJob(path string, s *Backup) {
	if s.To != KeptObjectStorage {
		c.report(path+".to", "a CronJob's backup is kept in %s, from which the rehearsal gets it", KeptObjectStorage)
	}
	if s.Node != "" || s.Unasked || s.WithoutPKI {
		c.report(path+".cronJob", "node, unasked and withoutPKI are for the CronJob's command to say")
	}
	if namespace, name, ok := strings.Cut(s.CronJob.Name, "/"); !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		c.report(path+".cronJob.name", "%q: expected NAMESPACE/NAME", s.CronJob.Name)
	}
	if s.CronJob.Storage == "" {
		c.report(path+".cronJob.storage", "name the Secret that its containers have the object storage from")
	}
}
