package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/procedure/cordon"
	"github.com/seatrial/seatrial/harness/procedure/drain"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// The drain that is measured: from one of two workers, which both have room for all pods.
const (
	drainedNode  = "worker-1"
	otherNode    = "worker-2"
	drainedApp   = "web"
	drainedPods  = 100
	drainTimeout = time.Minute
)

// gracePeriod is what every pod is given to stop, and takes.
const gracePeriod = 2 * time.Second

// createDeployment creates a Deployment in the default namespace.
func createDeployment(ctx context.Context, client kubernetes.Interface, name string, replicas int32) error {
	labels := map[string]string{"app": name}
	grace := int64(gracePeriod / time.Second)
	_, err := client.AppsV1().Deployments(metav1.NamespaceDefault).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Containers:                    []corev1.Container{{Name: "main", Image: "registry.k8s.io/pause:3.10"}},
					TerminationGracePeriodSeconds: &grace,
				},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create deployment %q: %w", name, err)
	}
	return nil
}

// creators is how many pods are created at once. The peer creates one after the other.
const creators = 16

// createPods creates bare pods like those of kwokctl scale pod.
func createPods(ctx context.Context, client kubernetes.Interface, count int) error {
	creating, ctx := errgroup.WithContext(ctx)
	creating.SetLimit(creators)
	for i := range count {
		creating.Go(func() error {
			_, err := client.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%06d", i)},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "container-0", Image: "busybox"}}},
			}, metav1.CreateOptions{})
			return err
		})
	}
	if err := creating.Wait(); err != nil {
		return fmt.Errorf("create %d pods: %w", count, err)
	}
	return nil
}

// measureDrain measures how long a drain takes beyond the grace period of the pods.
func measureDrain(ctx context.Context, b *bench) ([]row, error) {
	var times []time.Duration
	for range b.rounds {
		elapsed, err := b.drain(ctx)
		if err != nil {
			return nil, err
		}
		b.say("seatrial: drained %d pods in %.2f s, of which their grace period is %s", drainedPods, elapsed.Seconds(), gracePeriod)
		times = append(times, elapsed-gracePeriod)
	}
	return []row{{fmt.Sprintf("drain of %d pods, beyond their grace period", drainedPods), took(median(times)), nil, limitDrain}}, nil
}

// drain makes a cluster, has all pods run on one node, and drains it.
func (b *bench) drain(ctx context.Context) (elapsed time.Duration, err error) {
	r, err := b.startOurs(ctx, shape{1, 2})
	if err != nil {
		return 0, err
	}
	defer func() {
		if closeErr := r.close(ctx); err == nil {
			err = closeErr
		}
	}()
	env := &procedure.Env{
		Kube: r.client, Log: io.Discard,
		Record:   func(trace.Kind, string, string, any) error { return nil },
		Recorded: func(context.Context, string, string) error { return nil },
	}
	marking, marked := context.WithTimeout(ctx, time.Duration(procedure.Marking))
	defer marked()
	if err := cordon.Set(marking, env, otherNode, true); err != nil {
		return 0, err
	}
	if err := createDeployment(ctx, r.client, drainedApp, drainedPods); err != nil {
		return 0, err
	}
	if err := awaitPods(ctx, r.client, drainedPods); err != nil {
		return 0, err
	}
	if err := cordon.Set(ctx, env, otherNode, false); err != nil {
		return 0, err
	}
	step := scenario.Step{ID: "drain", Drain: &scenario.Drain{
		Node: drainedNode,
		DrainOptions: scenario.DrainOptions{
			Timeout:     scenario.Duration{Duration: drainTimeout},
			PodSelector: "app=" + drainedApp, // CoreDNS may be there, whose lame duck takes longer than our pods
		},
	}}
	procedure := drain.Drain{Cordon: cordon.Set}
	ctx, cancel := context.WithTimeout(ctx, 2*drainTimeout)
	defer cancel()
	began := time.Now()
	for _, op := range drain.Ops(step.ID, step.Drain) {
		if err := procedure.Do(ctx, env, step, op); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
