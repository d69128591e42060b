// Package hollow holds hollow nodes: kubelets without containers, thousands of them in one process, that look from the API as kubelets do.
//
// A hollow node registers its Node, renews its Lease, and gives every pod that is bound to it the life of a pod: Pending, Running, Ready,
// Terminating for its grace period, gone. Annotations of the pod say how its process behaves (see [AnnotationStartup] and its
// neighbours). Static pods are shown as mirror pods. Faults are what they are for: a node can lose its power or its
// connection, and the real control plane makes of it what it will.
//
//	k, err := hollow.Start(ctx, hollow.Options{Config: admin, Nodes: []hollow.Node{{Name: "worker-1", Role: cluster.Worker, KubeletVersion: "v1.34.4"}}})
//	…
//	err = k.PowerOff("worker-1")              // the lease stops; the node controller does the rest
//	err = k.Answer("production", "web-7c…")   // node "worker-1" has no power
//
// What a pod does is decided by one pure function, life, from the pod, what the kubelet remembers and the time. Around it are one
// watch over all bound pods, one over the nodes, two queues that know when to look again, and a few workers.
//
// All hollow kubelets share the client they are given, as cluster administrator: node authorization and NodeRestriction are not rehearsed. Only what says that a node is alive, its
// lease and its status, comes from itself where it has a client of its own.
package hollow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/seatrial/seatrial/harness/cluster"
)

// Options say which nodes to start, and against which API.
type Options struct {
	// Config reaches the API server, through the balancer where there is one, as cluster administrator.
	Config *rest.Config
	Nodes  []Node
	// Log receives what went wrong in passing; nil discards it.
	Log *slog.Logger
}

// Node is a machine to play.
type Node struct {
	Name string
	Role cluster.Role
	// KubeletVersion is what the node reports: "v1.34.4".
	KubeletVersion string
	// Labels come on top of those that every kubelet sets (hostname, OS, architecture, the role of a control plane).
	Labels map[string]string
	Taints []corev1.Taint
	// StaticPods are run as the files of a manifests folder: shown as mirror pods named NAME-NODE.
	StaticPods []corev1.Pod
	// PodCapacity is how many pods the node takes; 0 means 110, and 250 is the most.
	PodCapacity int
	// LeaseDuration is the kubelet's nodeLeaseDurationSeconds: it renews its lease four times in that time. 0 means the default of 40 s.
	LeaseDuration time.Duration
	// Client is how the kubelet reaches the API as itself, to say that it is alive. nil means that it says so with the client that all share.
	Client kubernetes.Interface
}

const (
	registerTimeout = 2 * time.Minute  // until all nodes have registered
	callTimeout     = 30 * time.Second // of one reconciliation, which is a few API calls
	workers         = 16               // per queue: they mostly wait for the API server
	retryFirst      = 50 * time.Millisecond
	retryLongest    = 5 * time.Second
)

// Kubelets are running hollow nodes. Its methods may be called at any time from anywhere.
type Kubelets struct {
	client   kubernetes.Interface
	clock    clock.WithTicker
	log      *slog.Logger
	machines map[string]*machine
	statics  map[string]staticPod // by key of the mirror pod

	pods, nodes         cache.SharedIndexInformer
	podQueue, nodeQueue workqueue.TypedRateLimitingInterface[string]
	stop                context.CancelFunc
	goroutines          sync.WaitGroup

	mu        sync.Mutex
	lives     map[string]*lived // by key of the pod
	waiting   int               // nodes that have not registered yet
	lastError error             // of a registration
	done      chan struct{}     // closed when all have
}

// staticPod is a static pod and its machine.
type staticPod struct {
	on  *machine
	pod corev1.Pod
}

// lived is a pod that lives on a hollow node.
type lived struct {
	on     *machine
	host   host
	memory memory
	// removed is the pod that was taken out of the API. The watch tells later that it is gone, and before that may tell of it once more.
	removed types.UID
}

// Start starts the nodes and returns when all have registered; their pods are served from then on until Close. ctx limits the start, and so do two
// minutes. On error nothing is left running, but nodes that registered stay in the API.
func Start(ctx context.Context, o Options) (*Kubelets, error) {
	config := rest.CopyConfig(o.Config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	config.QPS, config.RateLimiter = -1, nil
	config.UserAgent = "seatrial-hollow"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("start hollow nodes: %w", err)
	}
	return start(ctx, client, o, clock.RealClock{})
}

func start(ctx context.Context, client kubernetes.Interface, o Options, c clock.WithTicker) (*Kubelets, error) {
	k, err := newKubelets(client, o, c)
	if err != nil {
		return nil, fmt.Errorf("start hollow nodes: %w", err)
	}
	// The kubelets outlive the start.
	k.run(context.WithoutCancel(ctx))
	if err := k.registered(ctx); err != nil {
		k.Close()
		return nil, fmt.Errorf("start hollow nodes: %w", err)
	}
	return k, nil
}

func newKubelets(client kubernetes.Interface, o Options, c clock.WithTicker) (*Kubelets, error) {
	if len(o.Nodes) > maxNodes {
		return nil, fmt.Errorf("%d nodes are more than the %d there are addresses for", len(o.Nodes), maxNodes)
	}
	k := &Kubelets{
		client:   client,
		clock:    c,
		log:      o.Log,
		machines: make(map[string]*machine, len(o.Nodes)),
		statics:  map[string]staticPod{},
		lives:    map[string]*lived{},
		waiting:  len(o.Nodes),
		done:     make(chan struct{}),
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	for i, n := range o.Nodes {
		if n.PodCapacity < 0 || n.PodCapacity > maxCapacity {
			return nil, fmt.Errorf("node %q: a capacity of %d pods is not between 1 and %d", n.Name, n.PodCapacity, maxCapacity)
		}
		if k.machines[n.Name] != nil {
			return nil, fmt.Errorf("node %q: there are two of this name", n.Name)
		}
		m := newMachine(i, n)
		k.machines[n.Name] = m
		for _, p := range n.StaticPods {
			k.statics[namespaceOf(p)+"/"+mirrorName(p, n.Name)] = staticPod{on: m, pod: p}
		}
	}
	k.podQueue, k.nodeQueue = k.queue("pods"), k.queue("nodes")
	if err := k.watches(); err != nil {
		return nil, err
	}
	if k.waiting == 0 {
		close(k.done)
	}
	return k, nil
}

func (k *Kubelets) queue(name string) workqueue.TypedRateLimitingInterface[string] {
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](retryFirst, retryLongest),
		workqueue.TypedRateLimitingQueueConfig[string]{Name: name, Clock: k.clock},
	)
}

// run starts the watches and the workers. They end with Close.
func (k *Kubelets) run(ctx context.Context) {
	ctx, k.stop = context.WithCancel(ctx)
	for _, m := range k.machines {
		m.online, m.cut = context.WithCancel(ctx)
		k.nodeQueue.Add(m.Name)
	}
	k.goroutines.Go(func() { k.pods.RunWithContext(ctx) })
	k.goroutines.Go(func() { k.nodes.RunWithContext(ctx) })
	for range workers {
		k.goroutines.Go(func() { k.work(ctx, k.nodeQueue, "node", k.syncNode) })
		k.goroutines.Go(func() {
			// Without all pods there, one that is only not known yet would be taken for gone. Nodes can register meanwhile.
			if cache.WaitForCacheSync(ctx.Done(), k.pods.HasSynced) {
				k.work(ctx, k.podQueue, "pod", k.syncPod)
			}
		})
	}
}

// work reconciles keys of a queue until it is shut down. sync says after how long to look at the key again; 0: when it is added.
func (k *Kubelets) work(ctx context.Context, q workqueue.TypedRateLimitingInterface[string], kind string, sync func(context.Context, string) (time.Duration, error)) {
	for {
		key, shutdown := q.Get()
		if shutdown {
			return
		}
		after, err := sync(ctx, key)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			k.log.Debug("hollow node retries", "kind", kind, "key", key, "error", err)
			q.AddRateLimited(key)
		default:
			q.Forget(key)
			if after > 0 {
				q.AddAfter(key, after)
			}
		}
		q.Done(key)
	}
}

// registered waits until all nodes have registered.
func (k *Kubelets) registered(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	select {
	case <-k.done:
		return nil
	case <-ctx.Done():
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	err := ctx.Err()
	if k.lastError != nil {
		err = fmt.Errorf("%w; the last error was: %w", err, k.lastError)
	}
	return fmt.Errorf("%d of %d nodes have not registered: %w", k.waiting, len(k.machines), err)
}

// Close ends the kubelets and waits until they have. What is in the API stays as it is. It may be called more than once.
func (k *Kubelets) Close() {
	k.stop()
	k.podQueue.ShutDown()
	k.nodeQueue.ShutDown()
	k.goroutines.Wait()
}

// PowerOff cuts the power of a node: on return nothing runs on it and nothing more comes from it. A node without power stays so.
func (k *Kubelets) PowerOff(node string) error {
	return k.interrupt(node, "power off", func(m *machine) {
		if m.powered {
			m.powered, m.off = false, k.clock.Now()
		}
	})
}

// CutOff cuts a node's network: its containers go on, but nothing comes from it, and nothing reaches it.
func (k *Kubelets) CutOff(node string) error {
	return k.interrupt(node, "cut off", func(m *machine) { m.connected = false })
}

// interrupt ends the calls of a node that are under way and then changes it.
func (k *Kubelets) interrupt(node, verb string, change func(*machine)) error {
	m, err := k.machine(node, verb)
	if err != nil {
		return err
	}
	k.mu.Lock()
	m.cut()
	k.mu.Unlock()
	m.link.Lock()
	defer m.link.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	change(m)
	return nil
}

// PowerOn boots a node that has no power. It registers, its pods start again, and those that were being deleted are gone. The call returns at
// once. A node that has power is left alone.
func (k *Kubelets) PowerOn(node string) error {
	return k.resume(node, "power on", func(m *machine) bool {
		if m.powered {
			return false
		}
		now := k.clock.Now()
		m.powered, m.booting, m.gone = true, true, false
		m.boots++
		for _, l := range k.lives {
			if l.on == m {
				l.memory = l.memory.reboot(m.off, now)
			}
		}
		return true
	})
}

// Reconnect gives a node its network back. Its kubelet catches up with what happened; nothing is restarted. A node that is connected is left alone.
func (k *Kubelets) Reconnect(node string) error {
	return k.resume(node, "reconnect", func(m *machine) bool {
		if m.connected {
			return false
		}
		m.connected, m.reported = true, time.Time{}
		return true
	})
}

// SetVersion has a node report another version of its kubelet, as one that was restarted with new programs does. Nothing stops for it, and its pods go on, as they do under a kubelet that restarts.
func (k *Kubelets) SetVersion(node, version string) error {
	m, err := k.machine(node, "upgrade the kubelet of")
	if err != nil {
		return err
	}
	k.mu.Lock()
	powered := m.powered
	if powered {
		m.KubeletVersion, m.reported = version, time.Time{}
	}
	k.mu.Unlock()
	if !powered {
		return fmt.Errorf("upgrade the kubelet of node %q: it has no power", node)
	}
	k.nodeQueue.Add(m.Name)
	return nil
}

// Restart has a node report at once, as a kubelet that was restarted does. Its pods go on.
func (k *Kubelets) Restart(node string) error {
	m, err := k.machine(node, "restart the kubelet of")
	if err != nil {
		return err
	}
	k.mu.Lock()
	version := m.KubeletVersion
	k.mu.Unlock()
	return k.SetVersion(node, version)
}

// SetStaticPod gives a node another file of that name in its manifests folder, or one more: the pod that it had ends, and the new one starts.
// It returns when the API shows the new one, which kubeadm waits for too before it goes on to the next component.
func (k *Kubelets) SetStaticPod(ctx context.Context, node string, pod corev1.Pod) error {
	m, err := k.machine(node, "give a static pod to")
	if err != nil {
		return err
	}
	key := namespaceOf(pod) + "/" + mirrorName(pod, m.Name)
	k.mu.Lock()
	m.StaticPods = append(slices.DeleteFunc(slices.Clone(m.StaticPods), func(p corev1.Pod) bool {
		return namespaceOf(p) == namespaceOf(pod) && p.Name == pod.Name
	}), pod)
	k.statics[key] = staticPod{on: m, pod: pod}
	k.bury(key)
	k.mu.Unlock()
	if err := k.deleteMirror(ctx, m, pod); err != nil {
		return fmt.Errorf("replace mirror pod %q: %w", key, err)
	}
	return k.podMissing(ctx, key)
}

func (k *Kubelets) deleteMirror(ctx context.Context, m *machine, pod corev1.Pod) error {
	ctx, release, up := k.hold(ctx, m)
	if !up {
		return errors.New("its node has no power or no connection")
	}
	defer release()
	now := int64(0)
	err := k.client.CoreV1().Pods(namespaceOf(pod)).Delete(ctx, mirrorName(pod, m.Name), metav1.DeleteOptions{GracePeriodSeconds: &now})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// resume changes a node and, if that put it back into the cluster, has it and its pods looked at.
func (k *Kubelets) resume(node, verb string, change func(*machine) bool) error {
	m, err := k.machine(node, verb)
	if err != nil {
		return err
	}
	k.mu.Lock()
	changed := change(m)
	back := changed && m.powered && m.connected
	if back {
		m.cut()
		m.online, m.cut = context.WithCancel(context.WithoutCancel(m.online))
	}
	k.mu.Unlock()
	if back {
		k.nodeQueue.Add(m.Name)
		k.wakePods(m)
	}
	return nil
}

// Answer is nil when a client's request to the pod would be answered now: the node has power and network, and a container of the pod has
// started and has not stopped. Otherwise the error says why not. Readiness does not come into it.
func (k *Kubelets) Answer(namespace, pod string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.lives[namespace+"/"+pod]
	var err error
	switch {
	case l == nil:
		err = fmt.Errorf("no hollow node runs it")
	case !l.on.powered:
		err = fmt.Errorf("node %q has no power", l.on.Name)
	case !l.on.connected:
		err = fmt.Errorf("node %q is cut off", l.on.Name)
	default:
		err = l.memory.answers(k.clock.Now())
	}
	if err != nil {
		return fmt.Errorf("reach pod %q: %w", namespace+"/"+pod, err)
	}
	return nil
}

func (k *Kubelets) machine(node, verb string) (*machine, error) {
	m := k.machines[node]
	if m == nil {
		return nil, fmt.Errorf("%s node %q: there is no such hollow node", verb, node)
	}
	return m, nil
}

// wakePods has all pods of a node looked at, and its static pods, which may have no mirror.
func (k *Kubelets) wakePods(m *machine) {
	keys, err := k.pods.GetIndexer().IndexKeys(byNode, m.Name)
	if err != nil {
		panic(fmt.Sprintf("index of pods: %v", err)) // the index is made in watches
	}
	k.mu.Lock()
	for _, p := range m.StaticPods {
		keys = append(keys, namespaceOf(p)+"/"+mirrorName(p, m.Name))
	}
	k.mu.Unlock()
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		k.podQueue.Add(key)
	}
}
