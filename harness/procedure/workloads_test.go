package procedure

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/seatrial/seatrial/harness/objects"
)

// deployment is one that wants two replicas and has as many as are given, of its last generation.
func deployment(updated, available int32) *appsv1.Deployment {
	replicas := int32(2)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Generation: 3},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: updated, AvailableReplicas: available},
	}
}

// readyPod is a Ready pod of the deployment.
func readyPod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": "web"}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

// TestAwaitWorkloads: a workload that is not complete is awaited, until its status and its pods say the same; the time-out says what it lacks last.
func TestAwaitWorkloads(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset(deployment(2, 1), readyPod("web-1"))
	env := &Env{Kube: client, Log: &bytes.Buffer{}, Looks: NewLooks()}
	short := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*workloadsEvery)
		defer cancel()
		return AwaitWorkloads(ctx, env, true)
	}
	late := "deployment/shop/web: it wants 2 replicas; of 2, 2 are updated and 1 available"
	err := short()
	g.Expect(err).To(MatchError(ContainSubstring(late)))
	failure := (*Failure)(nil)
	g.Expect(errors.As(err, &failure)).To(BeTrue())
	g.Expect(failure.Blockers).To(ConsistOf(HaveField("Subject", "deployment/shop/web")))
	g.Expect(env.Log).To(ContainSubstring("deployment/shop/web is not complete yet"))

	gone := map[objects.Ref]string{{Kind: "deployment", Namespace: "shop", Name: "gone"}: late}
	g.Expect(awaitedStill(t.Context(), look{}, gone)).To(Succeed())
	g.Expect(gone).To(HaveEach("it does not exist"), "a workload that somebody removed was not completed")

	waiting := make(chan error, 1)
	go func() { waiting <- AwaitWorkloads(t.Context(), env, true) }()
	g.Consistently(waiting, 2*workloadsEvery).ShouldNot(Receive())
	_, err = client.AppsV1().Deployments("shop").UpdateStatus(t.Context(), deployment(2, 2), metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Consistently(waiting, 2*workloadsEvery).ShouldNot(Receive(), "one of its pods is not Ready")
	_, err = client.CoreV1().Pods("shop").Create(t.Context(), readyPod("web-2"), metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(waiting, 10*time.Second).Should(Receive(BeNil()))
}

// TestLooks: who asks for a look that began late enough gets the last one, and its error too; one that was interrupted is for nobody else.
func TestLooks(t *testing.T) {
	g := NewWithT(t)
	l, taken := NewLooks(), 0
	fails := errors.New("the API is away")
	take := func(context.Context) (look, error) { taken++; return look{}, fails }
	asked := time.Now()
	for range 3 {
		_, err := l.since(t.Context(), asked, take)
		g.Expect(err).To(MatchError(fails))
	}
	g.Expect(taken).To(Equal(1))
	_, _ = l.since(t.Context(), time.Now(), take)
	g.Expect(taken).To(Equal(2))

	interrupted, cancel := context.WithCancel(t.Context())
	later := time.Now().Add(time.Hour)
	_, _ = l.since(interrupted, later, func(context.Context) (look, error) { cancel(); return look{}, context.Canceled })
	_, err := l.since(t.Context(), asked, take)
	g.Expect(err).To(MatchError(fails))
	g.Expect(taken).To(Equal(2))
	<-l.turn // somebody looks
	_, err = l.since(interrupted, later, take)
	g.Expect(err).To(MatchError(context.Canceled))
}

// TestWorkloads: what a workload lacks, by its kind.
func TestWorkloads(t *testing.T) {
	two, one := int32(2), int32(1)
	unseen := deployment(2, 2)
	unseen.Generation = 4
	set := func(updated int32, strategy appsv1.StatefulSetUpdateStrategy) *appsv1.StatefulSet {
		return &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"},
			Spec:       appsv1.StatefulSetSpec{Replicas: &two, UpdateStrategy: strategy},
			Status:     appsv1.StatefulSetStatus{Replicas: 2, UpdatedReplicas: updated, ReadyReplicas: 2},
		}
	}
	partition := appsv1.StatefulSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &one}}
	daemons := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "agent"},
		Status:     appsv1.DaemonSetStatus{DesiredNumberScheduled: 3, CurrentNumberScheduled: 3, UpdatedNumberScheduled: 2, NumberAvailable: 3},
	}
	for name, test := range map[string]struct {
		client *fake.Clientset
		late   []string
	}{
		"complete":         {fake.NewClientset(deployment(2, 2)), []string{""}},
		"not seen":         {fake.NewClientset(unseen), []string{"its controller has not seen its last change yet"}},
		"behind":           {fake.NewClientset(set(1, appsv1.StatefulSetUpdateStrategy{})), []string{"it wants 2 replicas; of 2, 1 are updated and 2 available"}},
		"held back":        {fake.NewClientset(set(1, partition)), []string{""}},
		"updated by hand":  {fake.NewClientset(set(0, appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType})), nil},
		"on a node is old": {fake.NewClientset(daemons), []string{"it wants 3 replicas; of 3, 2 are updated and 3 available"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			found, err := workloads(t.Context(), test.client)
			g.Expect(err).NotTo(HaveOccurred())
			var late []string
			for _, w := range found {
				late = append(late, w.late)
			}
			g.Expect(late).To(Equal(test.late))
		})
	}
	stopped := deployment(1, 1)
	stopped.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}
	_, err := workloads(t.Context(), fake.NewClientset(stopped))
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("deployment/shop/web: it has exceeded its progress deadline")))
}
