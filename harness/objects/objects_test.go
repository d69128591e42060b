package objects

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/restmapper"
)

var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	pods        = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	jobs        = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	leases      = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
)

// newClient is a client of a cluster on paper that holds the objects.
func newClient(objects ...runtime.Object) (*Client, dynamic.Interface) {
	kube := fake.NewClientset()
	discovery, _ := kube.Discovery().(*fakediscovery.FakeDiscovery)
	discovery.Resources = []*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "pods", Kind: "Pod", Namespaced: true}}},
		{GroupVersion: "apps/v1", APIResources: []metav1.APIResource{{Name: "deployments", Kind: "Deployment", Namespaced: true}}},
		{GroupVersion: "batch/v1", APIResources: []metav1.APIResource{{Name: "jobs", Kind: "Job", Namespaced: true}}},
		{GroupVersion: "coordination.k8s.io/v1", APIResources: []metav1.APIResource{{Name: "leases", Kind: "Lease", Namespaced: true}}},
	}
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		deployments: "DeploymentList", pods: "PodList", leases: "LeaseList", jobs: "JobList",
	}, objects...)
	return &Client{dynamic: dyn, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discovery))}, dyn
}

func object(apiVersion, kind, namespace, name string, fields map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	o.SetNamespace(namespace)
	o.SetName(name)
	for key, value := range fields {
		o.Object[key] = value
	}
	return o
}

func web(ready int64) *unstructured.Unstructured {
	return object("apps/v1", "Deployment", "p", "web", map[string]any{
		"spec":   map[string]any{"replicas": int64(2), "selector": map[string]any{"matchLabels": map[string]any{"app": "web"}}},
		"status": map[string]any{"replicas": int64(2), "updatedReplicas": int64(2), "availableReplicas": ready, "readyReplicas": ready},
	})
}

// webPod is a pod of it, ready or not.
func webPod(name, ready string) *unstructured.Unstructured {
	pod := object("v1", "Pod", "p", name, map[string]any{"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": ready}}}})
	pod.SetLabels(map[string]string{"app": "web"})
	return pod
}

var webRef = Ref{Kind: "deployment", Namespace: "p", Name: "web"}

// TestAwaitRollout ends with the event that completes the roll-out, and says what it last saw when there is none.
func TestAwaitRollout(t *testing.T) {
	g := NewWithT(t)
	client, dyn := newClient(web(1), webPod("web-1", "True"), webPod("web-2", "False"))
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := client.AwaitRollout(short, webRef)
	var timeout *TimeoutError
	g.Expect(err).To(BeAssignableToTypeOf(timeout))
	g.Expect(err).To(MatchError(And(ContainSubstring("deployment/p/web"), ContainSubstring("1 of 2 updated replicas are available"))))

	done := make(chan error, 1)
	go func() { done <- client.AwaitRollout(t.Context(), webRef) }()
	g.Consistently(done, 100*time.Millisecond).ShouldNot(Receive())
	_, err = dyn.Resource(deployments).Namespace("p").Update(t.Context(), web(2), metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Consistently(done, 100*time.Millisecond).ShouldNot(Receive(), "a status is old where the pods say something else")
	_, err = dyn.Resource(pods).Namespace("p").Update(t.Context(), webPod("web-2", "True"), metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(done, 2*podsEvery).Should(Receive(BeNil()))
}

// TestAwaitRolloutOfAnOldStatus says in the end what the pods say.
func TestAwaitRolloutOfAnOldStatus(t *testing.T) {
	g := NewWithT(t)
	client, _ := newClient(web(2), webPod("web-1", "True"), webPod("web-2", "False"))
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	g.Expect(client.AwaitRollout(short, webRef)).To(MatchError(ContainSubstring("deployment/p/web: expected it has rolled out within 0s, last seen: its status says so, but 1 of 2 pods are Ready")))
}

// TestAwaitCancelled is no time-out: an interrupted wait says nothing about the cluster.
func TestAwaitCancelled(t *testing.T) {
	g := NewWithT(t)
	client, _ := newClient(web(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.Expect(client.AwaitRollout(ctx, webRef)).To(MatchError(context.Canceled))
}

func TestAwaitPod(t *testing.T) {
	g := NewWithT(t)
	pod := object("v1", "Pod", "p", "db-0", map[string]any{"status": map[string]any{
		"phase":      "Running",
		"conditions": []any{map[string]any{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}},
	}})
	client, _ := newClient(pod)
	ref := Ref{Kind: "pod", Namespace: "p", Name: "db-0"}
	g.Expect(client.AwaitJSONPath(t.Context(), ref, "{.status.phase}", "Running")).To(Succeed())
	g.Expect(client.AwaitCondition(t.Context(), ref, "Ready", "False")).To(Succeed())
	empty, _ := newClient()
	g.Expect(empty.AwaitDeleted(t.Context(), ref)).To(Succeed())
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	g.Expect(client.AwaitCondition(short, ref, "Ready", "True")).To(MatchError(ContainSubstring("Ready=False (ContainersNotReady")))
}

// TestAwaitJob: a Job that is complete is, one that failed says why at once, and one that runs on is waited for.
func TestAwaitJob(t *testing.T) {
	g := NewWithT(t)
	ref := Ref{Kind: "job", Namespace: "kube-system", Name: "backup"}
	ended := func(condition string) error {
		job := object("batch/v1", "Job", ref.Namespace, ref.Name, map[string]any{"status": map[string]any{"conditions": []any{
			map[string]any{"type": condition, "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"},
		}}})
		client, _ := newClient(job)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		return client.AwaitJob(ctx, ref)
	}
	g.Expect(ended("Complete")).To(Succeed())
	var failed *FailedError
	g.Expect(errors.As(ended("Failed"), &failed)).To(BeTrue())
	g.Expect(failed).To(MatchError("job/kube-system/backup has failed: Failed=True (BackoffLimitExceeded: Job has reached the specified backoff limit)"))
	var timeout *TimeoutError
	g.Expect(errors.As(ended("Suspended"), &timeout)).To(BeTrue())
}

// TestAwaitRenewed must not be content with a lease from before.
func TestAwaitRenewed(t *testing.T) {
	g := NewWithT(t)
	lease := func(at string) *unstructured.Unstructured {
		return object("coordination.k8s.io/v1", "Lease", "kube-node-lease", "worker-1", map[string]any{"spec": map[string]any{"renewTime": at}})
	}
	boot := time.Date(2026, 1, 1, 12, 0, 0, 500_000_000, time.UTC)
	client, dyn := newClient(lease("2026-01-01T12:00:00.499999Z"))
	done := make(chan error, 1)
	go func() { done <- client.AwaitRenewed(t.Context(), "worker-1", boot) }()
	g.Consistently(done, 100*time.Millisecond).ShouldNot(Receive())
	_, err := dyn.Resource(leases).Namespace("kube-node-lease").Update(t.Context(), lease("2026-01-01T12:00:00.500001Z"), metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(done).Should(Receive(BeNil()))
}

// TestRefused tells the API server's no from a connection that broke.
func TestRefused(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Refused(apierrors.NewBadRequest("no"))).To(BeTrue())
	g.Expect(Refused(apierrors.NewNotFound(schema.GroupResource{}, "x"))).To(BeTrue())
	g.Expect(Refused(apierrors.NewInternalError(context.DeadlineExceeded))).To(BeFalse())
	g.Expect(Refused(context.DeadlineExceeded)).To(BeFalse())
}

// TestWorkloads lists what can be awaited, with the namespace that the API server would give.
func TestWorkloads(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Workloads([]*unstructured.Unstructured{
		object("v1", "Namespace", "", "p", nil),
		object("apps/v1", "Deployment", "p", "web", nil),
		object("example.com/v1", "Deployment", "p", "not-ours", nil),
		object("v1", "Pod", "", "lonely", nil),
		object("policy/v1", "PodDisruptionBudget", "p", "web", nil),
	})).To(Equal([]Ref{webRef, {Kind: "pod", Namespace: "default", Name: "lonely"}}))
}
