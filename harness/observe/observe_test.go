package observe

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/seatrial/seatrial/harness/trace"
)

// tape keeps what is recorded.
type tape struct {
	mu     sync.Mutex
	events []trace.Event
	data   []any
	fail   error
}

func (r *tape) record(e trace.Event, data any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	r.data = append(r.data, data)
	return r.fail
}

func (r *tape) changes(subject string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, e := range r.events {
		if e.Subject == subject {
			all = append(all, e.Change)
		}
	}
	return all
}

// meta is the cluster as CatchUp lists it.
func meta(pods ...*corev1.Pod) *metadatafake.FakeMetadataClient {
	scheme := metadatafake.NewTestScheme()
	_ = metav1.AddMetaToScheme(scheme)
	var objects []runtime.Object
	for _, p := range pods {
		objects = append(objects, &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: p.ObjectMeta})
	}
	return metadatafake.NewSimpleMetadataClient(scheme, objects...)
}

// pods is a cluster that has them, and what is closed when they are watched: a fake one, unlike a real one, tells a watch nothing of what came between the list and it.
func pods(all ...runtime.Object) (*fake.Clientset, <-chan struct{}) {
	kube, watched := fake.NewClientset(all...), make(chan struct{})
	kube.PrependWatchReactor("pods", func(action clienttesting.Action) (bool, watch.Interface, error) {
		defer close(watched)
		w, err := kube.Tracker().Watch(action.GetResource(), action.GetNamespace())
		return true, w, err
	})
	return kube, watched
}

// TestCatchUp does not return before the recording has what the cluster has.
func TestCatchUp(t *testing.T) {
	g := NewWithT(t)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "web", ResourceVersion: "7"}}
	kube, watched := pods()
	w, err := StartWatches(t.Context(), kube, meta(pod), (&tape{}).record)
	g.Expect(err).NotTo(HaveOccurred())
	defer w.Stop()
	g.Eventually(watched).Should(BeClosed())

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	g.Expect(w.CatchUp(short)).To(MatchError(ContainSubstring("pod/p/web in version 7, recorded is version 0")))

	_, err = kube.CoreV1().Pods("p").Create(t.Context(), pod, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.CatchUp(t.Context())).To(Succeed())
	g.Expect(w.Recorded(t.Context(), "pod/p/web", "7")).To(Succeed())

	// The pod is gone from the cluster, and its deletion is not recorded yet.
	g.Expect(w.missing("pod", map[string]uint64{}, 9)).To(Equal("the deletion of pod/p/web, recorded is version 7"))
}

// TestWatches records what was there as existing, and every change after it.
func TestWatches(t *testing.T) {
	g := NewWithT(t)
	ctx := t.Context()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "web", ResourceVersion: "1"}}
	kube, watched := pods(pod)
	r := &tape{}
	w, err := StartWatches(ctx, kube, meta(pod), r.record)
	g.Expect(err).NotTo(HaveOccurred())
	defer w.Stop()
	g.Eventually(watched).Should(BeClosed())
	g.Expect(r.changes("pod/p/web")).To(Equal([]string{trace.Existing}))
	pod.ResourceVersion, pod.Status.Phase = "2", corev1.PodRunning
	_, err = kube.CoreV1().Pods("p").UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(kube.CoreV1().Pods("p").Delete(ctx, "web", metav1.DeleteOptions{})).To(Succeed())
	g.Eventually(func() []string { return r.changes("pod/p/web") }).Should(Equal([]string{trace.Existing, trace.Modified, trace.Deleted}))
	g.Expect(w.Err()).NotTo(HaveOccurred())
}

// TestRelist records what a watch can't see after versions went back: what is gone, what is otherwise, and what is there again, and nothing of what is as it was.
func TestRelist(t *testing.T) {
	g := NewWithT(t)
	pod := func(name, version string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name, ResourceVersion: version}}
	}
	kube := fake.NewClientset(pod("kept", "3"), pod("changed", "9"), pod("gone", "8"))
	r := &tape{}
	w, err := StartWatches(t.Context(), kube, meta(), r.record)
	g.Expect(err).NotTo(HaveOccurred())
	restored, watched := pods(pod("kept", "3"), pod("changed", "5"), pod("back", "4"))
	w.kube = restored
	g.Expect(w.Relist(t.Context())).To(Succeed())
	defer w.Stop()
	g.Eventually(watched).Should(BeClosed())
	g.Expect(r.changes("pod/p/kept")).To(Equal([]string{trace.Existing}))
	g.Expect(r.changes("pod/p/changed")).To(Equal([]string{trace.Existing, trace.Modified}))
	g.Expect(r.changes("pod/p/gone")).To(Equal([]string{trace.Existing, trace.Deleted}))
	g.Expect(r.changes("pod/p/back")).To(Equal([]string{trace.Added}))
	g.Expect(w.Recorded(t.Context(), "pod/p/changed", "5")).To(Succeed())

	g.Expect(w.kube.CoreV1().Pods("p").Delete(t.Context(), "kept", metav1.DeleteOptions{})).To(Succeed())
	g.Eventually(func() []string { return r.changes("pod/p/kept") }).Should(Equal([]string{trace.Existing, trace.Deleted}), "it goes on watching")
}

// TestListInOrder: what changed while a watch was broken is recorded in the order in which it changed, in whatever order the list has it. Upgraded were an API server, and then its controller manager.
func TestListInOrder(t *testing.T) {
	g := NewWithT(t)
	pod := func(name, version string) any {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name, ResourceVersion: version}}
	}
	r := &tape{}
	w := &Watches{record: r.record, seen: map[string]sight{}, news: make(chan struct{})}
	s := &sink{watches: w, kind: "pod", listed: trace.Existing, synced: make(chan struct{})}
	g.Expect(s.Replace([]any{pod("api-server", "3"), pod("controller-manager", "2"), pod("gone", "99"), pod("kept", "1")}, "99")).To(Succeed())
	g.Expect(s.synced).To(BeClosed())
	g.Expect(s.Replace([]any{pod("new", "104"), pod("controller-manager", "103"), pod("kept", "1"), pod("api-server", "102")}, "104")).To(Succeed())
	var order []string
	for _, e := range r.events {
		order = append(order, e.Subject+" "+e.Change)
	}
	g.Expect(order).To(Equal([]string{
		"pod/p/kept existing", "pod/p/controller-manager existing", "pod/p/api-server existing", "pod/p/gone existing",
		"pod/p/api-server modified", "pod/p/controller-manager modified", "pod/p/new added", "pod/p/gone deleted",
	}))
}

// TestAHoleInTheTraceIsReported: a record that fails is never silent.
func TestAHoleInTheTraceIsReported(t *testing.T) {
	g := NewWithT(t)
	r := &tape{fail: errors.New("no space left")}
	w, err := StartWatches(t.Context(), fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}), meta(), r.record)
	g.Expect(err).To(MatchError("no space left"))
	w.Stop()
}

// TestNothingSecretIsRecorded follows a password through every place where a manifest may have it.
func TestNothingSecretIsRecorded(t *testing.T) {
	const secret = "hunter2"
	spec := corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "i", Env: []corev1.EnvVar{{Name: "A", Value: secret}}}},
		Containers: []corev1.Container{{
			Name: "c", Env: []corev1.EnvVar{{Name: "B", Value: secret}},
			Args: []string{"--db=postgres://u:" + secret + "@db"}, Command: []string{"run", secret},
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{HTTPHeaders: []corev1.HTTPHeader{{Name: "Authorization", Value: secret}}}}},
			Lifecycle:      &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{secret}}}},
		}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "e", Env: []corev1.EnvVar{{Name: "C", Value: secret}}}}},
	}
	meta := metav1.ObjectMeta{
		Name: "x", Annotations: map[string]string{},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: secret}},
	}
	template := corev1.PodTemplateSpec{ObjectMeta: *meta.DeepCopy(), Spec: spec}
	for _, object := range []any{
		&corev1.Pod{ObjectMeta: meta, Spec: spec},
		&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Template: template}},
		&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Template: template}},
		&appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Template: template}},
		&appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Template: template}},
		&batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: template}},
		&corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Template: &template}},
	} {
		g := NewWithT(t)
		for _, key := range []string{corev1.LastAppliedConfigAnnotation, "vault.example.com/token"} {
			meta.Annotations[key], template.Annotations[key] = secret, secret
		}
		meta.Annotations["sim.seatrial.dev/startup"] = "1s"
		strip(object)
		raw, err := json.Marshal(object)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(raw)).NotTo(ContainSubstring(secret), "%T", object)
		g.Expect(string(raw)).To(And(ContainSubstring("sim.seatrial.dev/startup"), ContainSubstring(`"name":"c"`)), "%T", object)
	}
}

// TestProbeRecordsChanges: the first answer, every change, and the last word; not the rest.
func TestProbeRecordsChanges(t *testing.T) {
	g := NewWithT(t)
	answers := []error{nil, nil, errors.New("refused"), errors.New("refused again"), nil}
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	probe := Probe{Subject: "service/p/web:80", Interval: time.Millisecond, Ask: func(context.Context) error {
		if asked == len(answers) {
			cancel()
			return nil
		}
		asked++
		return answers[asked-1]
	}}
	r := &tape{}
	g.Expect(probe.run(ctx, r.record, func() {})).To(Succeed())
	g.Expect(r.changes(probe.Subject)).To(Equal([]string{trace.ProbeOK, trace.ProbeFail, trace.ProbeOK, trace.ProbeOK}))
	g.Expect(r.data[1].(trace.ProbeData).Error).To(Equal("refused"))
	g.Expect(r.data[1].(trace.ProbeData).Count).To(Equal(1), "one more ok before it failed")
	g.Expect(r.data[1].(trace.ProbeData).PatienceSeconds).To(Equal(1.0))
}

// TestProbesAnswerBeforeTheStepsBegin: StartProbes returns when each has had an answer, also when the answer is no.
func TestProbesAnswerBeforeTheStepsBegin(t *testing.T) {
	g := NewWithT(t)
	r := &tape{}
	probes := StartProbes(t.Context(), []Probe{
		{Subject: "api/a", Interval: time.Hour, Ask: func(context.Context) error { return nil }},
		{Subject: "api/b", Interval: time.Hour, Ask: func(context.Context) error { return errors.New("down") }},
	}, r.record)
	g.Expect(r.changes("api/a")).To(Equal([]string{trace.ProbeOK}))
	g.Expect(r.changes("api/b")).To(Equal([]string{trace.ProbeFail}))
	g.Expect(probes.Stop()).To(Succeed())
	g.Expect(probes.Stop()).To(Succeed())
	g.Expect(r.changes("api/a")).To(HaveLen(2), "the last word")
}
