package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	watchtools "k8s.io/client-go/tools/watch"
)

const (
	pollInterval  = 50 * time.Millisecond
	lookTimeout   = 5 * time.Second
	createTimeout = 3 * time.Minute
	nodesTimeout  = 5 * time.Minute
	podsTimeout   = 10 * time.Minute
	stopTimeout   = time.Minute
)

// shape is what a cluster is to have.
type shape struct{ controlPlanes, nodes int }

// maker makes clusters: we do, and the peer does.
type maker struct {
	name string
	// start makes a cluster whose control plane is ready.
	start func(ctx context.Context, s shape) (*running, error)
}

// running is a cluster that is being measured.
type running struct {
	berth  berth
	client kubernetes.Interface
	// ready is how long the control plane took, from the start of the command.
	ready time.Duration
	// nodesReady brings the nodes, if they don't come by themselves, and waits until they are Ready. It returns how long that took since they could come.
	nodesReady func(ctx context.Context) (time.Duration, error)
	// addPods creates bare pods in the default namespace.
	addPods func(ctx context.Context, count int) error
	stop    func(ctx context.Context) error
}

// close ends the cluster, with a time of its own: it has to end also when we were interrupted.
func (r *running) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return r.stop(ctx)
}

// connect makes a client as soon as a kubeconfig is there. It has no rate limits.
func connect(ctx context.Context, kubeconfig string) (kubernetes.Interface, error) {
	var config *rest.Config
	err := poll(ctx, "there is a kubeconfig", func(context.Context) (err error) {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
		return err
	})
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return kubernetes.NewForConfig(config)
}

// awaitAPI waits until the API server is ready.
func awaitAPI(ctx context.Context, client kubernetes.Interface) error {
	return poll(ctx, "the API is ready", func(ctx context.Context) error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

// awaitControllers waits until the default service account is there and controller manager and scheduler hold their leases.
func awaitControllers(ctx context.Context, client kubernetes.Interface) error {
	return poll(ctx, "the control plane is ready", func(ctx context.Context) error {
		if _, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return err
		}
		for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
			lease, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if holder := lease.Spec.HolderIdentity; holder == nil || *holder == "" {
				return fmt.Errorf("nobody holds lease %q", name)
			}
		}
		return nil
	})
}

// awaitNodes waits until so many nodes are Ready.
func awaitNodes(ctx context.Context, client kubernetes.Interface, want int) error {
	ctx, cancel := context.WithTimeout(ctx, nodesTimeout)
	defer cancel()
	api := client.CoreV1().Nodes()
	return awaitCount(ctx, "nodes are Ready", want, &corev1.Node{}, &cache.ListWatch{
		ListWithContextFunc:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return api.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return api.Watch(ctx, o) },
	}, func(o runtime.Object) bool {
		for _, c := range o.(*corev1.Node).Status.Conditions {
			if c.Type == corev1.NodeReady {
				return c.Status == corev1.ConditionTrue
			}
		}
		return false
	})
}

// awaitDaemons waits until every DaemonSet runs on so many nodes, if there is one: those pods are not what is measured.
func awaitDaemons(ctx context.Context, client kubernetes.Interface, nodes int) error {
	ctx, cancel := context.WithTimeout(ctx, podsTimeout)
	defer cancel()
	return poll(ctx, "the DaemonSets run on all nodes", func(ctx context.Context) error {
		sets, err := client.AppsV1().DaemonSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, s := range sets.Items {
			if int(s.Status.NumberReady) < nodes {
				return fmt.Errorf("daemonset %q is ready on %d of %d nodes", s.Name, s.Status.NumberReady, nodes)
			}
		}
		return nil
	})
}

// awaitPods waits until so many pods of the default namespace are Running. The API server sends only those.
func awaitPods(ctx context.Context, client kubernetes.Interface, want int) error {
	ctx, cancel := context.WithTimeout(ctx, podsTimeout)
	defer cancel()
	api := client.CoreV1().Pods(metav1.NamespaceDefault)
	selector := fields.OneTermEqualSelector("status.phase", string(corev1.PodRunning)).String()
	return awaitCount(ctx, "pods are Running", want, &corev1.Pod{}, &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return api.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return api.Watch(ctx, o)
		},
	}, func(runtime.Object) bool { return true })
}

// awaitCount watches objects until so many of them fit.
func awaitCount(ctx context.Context, what string, want int, kind runtime.Object, lw cache.ListerWatcher, fits func(runtime.Object) bool) error {
	fitting := map[string]struct{}{}
	_, err := watchtools.UntilWithSync(ctx, lw, kind, nil, func(e watch.Event) (bool, error) {
		object, ok := e.Object.(metav1.Object)
		if !ok {
			return false, nil
		}
		delete(fitting, object.GetName())
		if e.Type != watch.Deleted && fits(e.Object) {
			fitting[object.GetName()] = struct{}{}
		}
		return len(fitting) >= want, nil
	})
	if err != nil {
		return fmt.Errorf("wait until %d %s: %w; last seen: %d", want, what, errors.Join(err, context.Cause(ctx)), len(fitting))
	}
	return nil
}

// poll looks at a condition until it holds (nil) or ctx ends. Its error says what it last saw.
func poll(ctx context.Context, what string, look func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	last := errors.New("nothing yet")
	for {
		looking, cancel := context.WithTimeout(ctx, lookTimeout)
		err := look(looking)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; last seen: %w", what, context.Cause(ctx), last)
		}
	}
}
