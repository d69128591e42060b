package judge_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// recording writes a trace as the observers would. Time passes by a second per event.
type recording struct {
	t   testing.TB
	out bytes.Buffer
	w   *trace.Writer
	op  string
	seq int64
	// scratch gives the Deployments an emptyDir.
	scratch bool
}

func newRecording(t testing.TB) *recording {
	r := &recording{t: t}
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r.w = trace.NewWriter(&r.out, func() time.Time {
		clock = clock.Add(time.Second)
		return clock
	})
	return r
}

func (r *recording) reader() *trace.Reader { return trace.NewReader(bytes.NewReader(r.out.Bytes())) }

func (r *recording) event(kind trace.Kind, subject, change string, data any) {
	r.t.Helper()
	e, err := r.w.Record(trace.Event{Op: r.op, Kind: kind, Subject: subject, Change: change}, data)
	if err != nil {
		r.t.Fatal(err)
	}
	r.seq = e.Seq
}

func (r *recording) run(change string) { r.event(trace.KindRun, "run/test", change, nil) }

// perform records an op around what happens in it.
func (r *recording) perform(id, end string, data trace.OpData, during func()) {
	r.op = id
	r.event(trace.KindOp, "op/"+id, trace.OpStarted, trace.OpData{})
	during()
	r.event(trace.KindOp, "op/"+id, end, data)
	r.op = ""
}

func (r *recording) node(change, name string, cordoned bool) {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Spec.Unschedulable = cordoned
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	r.event(trace.KindObject, "node/"+name, change, n)
}

func controlledBy(kind, name string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, UID: types.UID(name), Controller: &yes}}
}

// deployment records a Deployment of production and its ReplicaSet.
func (r *recording) deployment(change, name string, replicas int32) {
	labels := map[string]string{"app": name}
	d := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: name}}
	d.Spec.Replicas, d.Spec.Template.Labels = &replicas, labels
	if r.scratch {
		d.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	}
	r.event(trace.KindObject, "deployment/production/"+name, change, d)
	rs := appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: name + "-1", OwnerReferences: controlledBy("Deployment", name)}}
	rs.Spec.Replicas, rs.Spec.Template.Labels = &replicas, labels
	r.event(trace.KindObject, "replicaset/production/"+name+"-1", change, rs)
}

func (r *recording) budget(change, name string, maximum int) {
	b := policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: name}}
	m := intstr.FromInt(maximum)
	b.Spec.MaxUnavailable = &m
	b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	r.event(trace.KindObject, "poddisruptionbudget/production/"+name, change, b)
}

// state is how a pod is.
type state int

const (
	pending state = iota
	ready
	leaving
)

// pod records a pod of a Deployment, one of a DaemonSet when app is "log", or a bare one when app is "".
func (r *recording) pod(change, name, app, node string, s state) {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "production", Name: name, UID: types.UID("1d0b8c1e-7c7e-4f0e-8d0e-" + name), ResourceVersion: "123456",
		CreationTimestamp: metav1.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Labels: map[string]string{"app": app, "pod-template-hash": "5d9c7b8f6d"},
	}}
	switch app {
	case "":
	case "log":
		p.OwnerReferences = controlledBy("DaemonSet", app)
	default:
		p.OwnerReferences = controlledBy("ReplicaSet", app+"-1")
	}
	if s == leaving {
		now := metav1.Date(2026, 1, 2, 3, 5, 5, 0, time.UTC)
		p.DeletionTimestamp = &now
	}
	p.Spec = corev1.PodSpec{
		NodeName: node, ServiceAccountName: "default", SchedulerName: "default-scheduler", RestartPolicy: corev1.RestartPolicyAlways,
		Containers: []corev1.Container{{Name: "web", Image: "registry.example/web:1.2.3", ImagePullPolicy: corev1.PullIfNotPresent,
			Ports: []corev1.ContainerPort{{ContainerPort: 80, Protocol: corev1.ProtocolTCP}}, VolumeMounts: []corev1.VolumeMount{{Name: "token", MountPath: "/var/run/secrets", ReadOnly: true}}}},
		Tolerations: []corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute"}, {Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute"}},
		Volumes:     []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}}},
	}
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, HostIP: "10.0.0.1", PodIP: "10.1.2.3"}
	status := corev1.ConditionFalse
	if s != pending {
		p.Status.Phase, status = corev1.PodRunning, corev1.ConditionTrue
	}
	for _, c := range []corev1.PodConditionType{corev1.PodInitialized, corev1.PodScheduled, corev1.ContainersReady, corev1.PodReady} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: c, Status: status, LastTransitionTime: p.CreationTimestamp})
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", Ready: s != pending, Image: "registry.example/web:1.2.3", ContainerID: "containerd://0123456789abcdef"}}
	r.event(trace.KindObject, "pod/production/"+name, change, p)
}

// take records that the drain is about to take a pod.
func (r *recording) take(how, name, node string) {
	r.event(trace.KindFact, "pod/production/"+name, how, trace.TakingData{Node: node})
}

func (r *recording) probe(subject, change string) {
	r.event(trace.KindProbe, subject, change, trace.ProbeData{IntervalSeconds: 0.2})
}

// drainPlan drains worker-1, and probes a Service.
func drainPlan(options scenario.Drain) *plan.Plan {
	options.Node = "worker-1"
	return &plan.Plan{Scenario: "test", Provider: "test", Uses: []string{"drain", "probe"}, Ops: []*plan.Op{
		{Number: "1", ID: "evict", Procedure: "drain", Action: "all", Node: "worker-1", Ops: []*plan.Op{
			{Number: "1.1", ID: "evict/cordon", Procedure: "drain", Action: "cordon", Node: "worker-1", Options: options},
			{Number: "1.2", ID: "evict/drain", Procedure: "drain", Action: "drain", Node: "worker-1", Options: options},
		}},
		{Number: "2", ID: "uncordon", Procedure: "uncordon", Action: "uncordon", Node: "worker-1"},
	}}
}

// big records a run of about the given number of events: 5000 pods under 10 budgets are evicted and come back, again and again.
func big(t testing.TB, events int64) *recording {
	const apps, podsPerApp, nodes = 10, 500, 50
	r := newRecording(t)
	r.run(trace.RunBegan)
	for n := range nodes {
		r.node(trace.Existing, fmt.Sprintf("worker-%d", n+1), false)
	}
	for a := range apps {
		name := fmt.Sprintf("app%d", a)
		r.deployment(trace.Existing, name, podsPerApp)
		r.budget(trace.Existing, name, 10)
		for p := range podsPerApp {
			r.pod(trace.Existing, fmt.Sprintf("%s-%d", name, p), name, fmt.Sprintf("worker-%d", p%nodes+1), ready)
		}
	}
	r.probe("api/balancer", trace.ProbeOK)
	r.probe("service/production/app0:80", trace.ProbeOK)
	r.run(trace.StepsBegan)
	r.perform("evict/cordon", trace.OpDone, trace.OpData{}, func() { r.node(trace.Modified, "worker-1", true) })
	r.perform("evict/drain", trace.OpDone, trace.OpData{}, func() {
		for i := 0; r.seq < events-10; i++ {
			app := fmt.Sprintf("app%d", i%apps)
			name := fmt.Sprintf("%s-%d", app, i/apps%podsPerApp)
			r.take(trace.Evicting, name, "worker-1")
			r.pod(trace.Modified, name, app, "worker-1", leaving)
			r.pod(trace.Deleted, name, app, "worker-1", leaving)
			r.pod(trace.Added, name, app, "", pending)
			r.pod(trace.Modified, name, app, "worker-2", pending)
			r.pod(trace.Modified, name, app, "worker-2", ready)
			if i%20 == 0 {
				r.probe("service/production/app0:80", []string{trace.ProbeOK, trace.ProbeFail}[i/20%2])
			}
		}
	})
	r.perform("uncordon", trace.OpDone, trace.OpData{}, func() { r.node(trace.Modified, "worker-1", false) })
	r.probe("service/production/app0:80", trace.ProbeOK)
	r.run(trace.StepsEnded)
	return r
}
