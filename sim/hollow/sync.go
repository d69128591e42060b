package hollow

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// byNode is the index of pods by the node that they are bound to.
const byNode = "node"

// watches makes the two watches that all nodes share. What a hollow kubelet does not need is dropped before it is kept.
func (k *Kubelets) watches() error {
	k.pods = coreinformers.NewFilteredPodInformer(k.client, metav1.NamespaceAll, 0,
		cache.Indexers{byNode: func(obj any) ([]string, error) { return []string{obj.(*corev1.Pod).Spec.NodeName}, nil }},
		func(o *metav1.ListOptions) { o.FieldSelector = "spec.nodeName!=" })
	k.nodes = coreinformers.NewNodeInformer(k.client, 0, cache.Indexers{})
	if err := k.pods.SetTransform(slimPod); err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	if err := k.nodes.SetTransform(slimNode); err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	if _, err := k.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    k.podChanged,
		UpdateFunc: func(_, obj any) { k.podChanged(obj) },
		DeleteFunc: k.podChanged,
	}); err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	if _, err := k.nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, obj any) { k.nodeChanged(obj) },
		DeleteFunc: k.nodeDeleted,
	}); err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	return nil
}

// slimPod keeps of a pod what its kubelet needs. The metadata must stay whole: a status update writes labels and annotations too. The spec may go, the API
// server takes the old one.
func slimPod(obj any) (any, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil // a tombstone
	}
	p.ManagedFields = nil
	p.Spec = corev1.PodSpec{
		NodeName:       p.Spec.NodeName,
		HostNetwork:    p.Spec.HostNetwork,
		RestartPolicy:  p.Spec.RestartPolicy,
		ReadinessGates: p.Spec.ReadinessGates,
		Containers:     slimContainers(p.Spec.Containers),
		InitContainers: slimContainers(p.Spec.InitContainers),
	}
	return p, nil
}

func slimContainers(full []corev1.Container) []corev1.Container {
	var slim []corev1.Container
	for _, c := range full {
		s := corev1.Container{Name: c.Name, Image: c.Image, RestartPolicy: c.RestartPolicy}
		if c.ReadinessProbe != nil {
			s.ReadinessProbe = &corev1.Probe{InitialDelaySeconds: c.ReadinessProbe.InitialDelaySeconds}
		}
		slim = append(slim, s)
	}
	return slim
}

func slimNode(obj any) (any, error) {
	if n, ok := obj.(*corev1.Node); ok {
		n.ManagedFields = nil
	}
	return obj, nil
}

func (k *Kubelets) podChanged(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		k.podQueue.Add(gone.Key)
		return
	}
	if p := obj.(*corev1.Pod); k.machines[p.Spec.NodeName] != nil {
		k.podQueue.Add(p.Namespace + "/" + p.Name)
	}
}

// nodeChanged has a node looked at when somebody else (the node controller) wrote that it is not Ready.
func (k *Kubelets) nodeChanged(obj any) {
	if n := obj.(*corev1.Node); k.machines[n.Name] != nil && !healthy(n) {
		k.nodeQueue.Add(n.Name)
	}
}

// nodeDeleted notes that somebody deleted a Node: its kubelet does not register it again by itself.
func (k *Kubelets) nodeDeleted(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	n, ok := obj.(*corev1.Node)
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.machines[n.Name]; m != nil && m.uid == n.UID && !m.booting {
		m.gone = true
	}
}

// hold keeps the node's link for a call, unless it has none. The returned context ends when the link goes.
func (k *Kubelets) hold(ctx context.Context, m *machine) (context.Context, func(), bool) {
	m.link.RLock()
	k.mu.Lock()
	up, online := m.powered && m.connected, m.online
	k.mu.Unlock()
	if !up {
		m.link.RUnlock()
		return nil, nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	unhook := context.AfterFunc(online, cancel)
	return ctx, func() { unhook(); cancel(); m.link.RUnlock() }, true
}

// syncPod does for a pod what is to be done now.
func (k *Kubelets) syncPod(ctx context.Context, key string) (time.Duration, error) {
	obj, found, err := k.pods.GetIndexer().GetByKey(key)
	if err != nil {
		return 0, fmt.Errorf("look up pod %q: %w", key, err)
	}
	if !found {
		return 0, k.podMissing(ctx, key)
	}
	pod := obj.(*corev1.Pod)
	m := k.machines[pod.Spec.NodeName]
	if m == nil {
		return 0, nil
	}
	if !k.shows(key, pod) {
		return 0, k.podMissing(ctx, key)
	}
	ctx, release, up := k.hold(ctx, m)
	if !up {
		return 0, nil
	}
	defer release()
	v := k.live(m, key, pod)
	if v.status != nil {
		if v, err = k.writeStatus(ctx, m, key, pod, v); err != nil {
			return 0, err
		}
	}
	if v.remove {
		return 0, k.removeOnce(ctx, key, pod)
	}
	if v.wake.IsZero() {
		return 0, nil
	}
	return max(v.wake.Sub(k.clock.Now()), time.Millisecond), nil
}

// live lets a pod live on until now and remembers it.
func (k *Kubelets) live(m *machine, key string, pod *corev1.Pod) verdict {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.lives[key]
	if l != nil && (l.on != m || l.memory.uid != pod.UID && !isMirror(pod)) {
		k.bury(key)
		l = nil
	}
	if l == nil {
		l = &lived{on: m, host: host{nodeIP: m.ip.String(), podIP: m.ip.String()}}
		if !pod.Spec.HostNetwork {
			l.host.podIP = m.address(pod.Status.PodIP).String()
		}
		k.lives[key] = l
	}
	var v verdict
	l.memory, v = life(pod, l.memory, l.host, k.clock.Now())
	return v
}

// writeStatus posts a pod's status. When somebody else has changed the pod since, it decides again from the pod as it is.
func (k *Kubelets) writeStatus(ctx context.Context, m *machine, key string, pod *corev1.Pod, v verdict) (verdict, error) {
	api := k.client.CoreV1().Pods(pod.Namespace)
	uid := pod.UID
	for range 5 {
		next := *pod
		next.Status = *v.status
		_, err := api.UpdateStatus(ctx, &next, metav1.UpdateOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return verdict{}, nil
		case err == nil:
			return v, nil
		case !apierrors.IsConflict(err):
			return v, fmt.Errorf("post status of pod %q: %w", key, err)
		}
		if pod, err = api.Get(ctx, pod.Name, metav1.GetOptions{}); apierrors.IsNotFound(err) || err == nil && pod.UID != uid {
			return verdict{}, nil // the watch will tell
		} else if err != nil {
			return v, fmt.Errorf("get pod %q: %w", key, err)
		}
		if v = k.live(m, key, pod); v.status == nil {
			return v, nil
		}
	}
	return v, fmt.Errorf("post status of pod %q: it changes too fast", key)
}

// removePod takes a pod that has ended out of the API, and only this one: another may have its name by now.
func (k *Kubelets) removePod(ctx context.Context, pod *corev1.Pod) error {
	options := metav1.NewDeleteOptions(0)
	options.Preconditions = metav1.NewUIDPreconditions(string(pod.UID))
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("remove pod \"%s/%s\": %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// removeOnce takes a pod that has ended out of the API, and does not ask again while the watch has not told that it is gone.
func (k *Kubelets) removeOnce(ctx context.Context, key string, pod *corev1.Pod) error {
	k.mu.Lock()
	l := k.lives[key]
	asked := l != nil && l.removed == pod.UID
	k.mu.Unlock()
	if asked {
		return nil
	}
	if err := k.removePod(ctx, pod); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.lives[key]; l != nil {
		l.removed = pod.UID
	}
	return nil
}

// shows says whether a pod is what its key has in the API: any pod, but a mirror pod only when it shows the static pod's file as it is now, as with a kubelet.
func (k *Kubelets) shows(key string, pod *corev1.Pod) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	static, ok := k.statics[key]
	return !ok || pod.Annotations[corev1.MirrorPodAnnotationKey] == configHash(static.pod)
}

// podMissing forgets a pod that is not in the API any more, unless it is a static pod's: that is shown again, in place of what shows an earlier file of it.
func (k *Kubelets) podMissing(ctx context.Context, key string) error {
	k.mu.Lock()
	static, ok := k.statics[key]
	if !ok {
		k.bury(key)
	}
	k.mu.Unlock()
	if !ok {
		return nil
	}
	ctx, release, up := k.hold(ctx, static.on)
	if !up {
		return nil
	}
	defer release()
	return k.showStatic(ctx, key)
}

// showStatic makes the mirror pod of a static pod, in place of one that shows an earlier file: which file that is may change while this asks the API.
func (k *Kubelets) showStatic(ctx context.Context, key string) error {
	for range 5 {
		k.mu.Lock()
		static := k.statics[key]
		known := !static.on.booting && !static.on.gone
		mirror := static.on.mirror(static.pod, k.clock.Now())
		k.mu.Unlock()
		if !known {
			return nil // registration wakes it
		}
		api := k.client.CoreV1().Pods(mirror.Namespace)
		_, err := api.Create(ctx, mirror, metav1.CreateOptions{})
		if err == nil {
			return nil
		} else if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create mirror pod %q: %w", key, err)
		}
		there, err := api.Get(ctx, mirror.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return fmt.Errorf("get mirror pod %q: %w", key, err)
		case k.shows(key, there):
			return nil
		}
		k.mu.Lock()
		k.bury(key)
		k.mu.Unlock()
		if err := k.removePod(ctx, there); err != nil {
			return err
		}
	}
	return fmt.Errorf("create mirror pod %q: somebody else makes it again and again", key)
}

// bury forgets a pod and frees its address. The caller holds mu.
func (k *Kubelets) bury(key string) {
	l := k.lives[key]
	if l == nil {
		return
	}
	delete(k.lives, key)
	if l.host.podIP != l.host.nodeIP {
		l.on.free(l.host.podIP)
	}
}

// syncNode registers a node that boots, and renews the lease and, when it is time or somebody wrote something else, the status of the others.
func (k *Kubelets) syncNode(ctx context.Context, name string) (time.Duration, error) {
	m := k.machines[name]
	ctx, release, up := k.hold(ctx, m)
	if !up {
		return 0, nil
	}
	defer release()
	k.mu.Lock()
	booting, gone := m.booting, m.gone
	due := k.clock.Since(m.reported) >= statusInterval
	k.mu.Unlock()
	switch {
	case booting:
		if err := k.register(ctx, m); err != nil {
			k.mu.Lock()
			k.lastError = err
			k.mu.Unlock()
			return 0, err
		}
		k.wakePods(m)
		return m.spread(m.leaseInterval()), nil
	case gone:
		return 0, nil
	}
	if err := k.renewLease(ctx, m); err != nil {
		return 0, err
	}
	if obj, found, err := k.nodes.GetIndexer().GetByKey(name); err == nil && found && (due || !healthy(obj.(*corev1.Node))) {
		if err := k.reportNode(ctx, m, obj.(*corev1.Node)); err != nil {
			return 0, err
		}
	}
	return m.leaseInterval(), nil
}

// register brings the node and its lease into the API, over what may be there from before.
func (k *Kubelets) register(ctx context.Context, m *machine) error {
	k.mu.Lock()
	want := m.object(k.clock.Now())
	k.mu.Unlock()
	node, err := k.client.CoreV1().Nodes().Create(ctx, want, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		node, err = k.adoptNode(ctx, m, want)
	}
	if err != nil {
		return fmt.Errorf("register node %q: %w", m.Name, err)
	}
	k.mu.Lock()
	m.uid, m.lease = node.UID, nil
	k.mu.Unlock()
	if err := k.renewLease(ctx, m); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	m.booting, m.reported = false, k.clock.Now()
	if !m.registered {
		m.registered = true
		if k.waiting--; k.waiting == 0 {
			close(k.done)
		}
	}
	return nil
}

// adoptNode makes a Node that is there already ours: labels and status are renewed, taints and pod network stay as they are, and the pods to come
// get their addresses from that network.
func (k *Kubelets) adoptNode(ctx context.Context, m *machine, want *corev1.Node) (*corev1.Node, error) {
	api := k.client.CoreV1().Nodes()
	node, err := api.Get(ctx, m.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if cidr, err := netip.ParsePrefix(node.Spec.PodCIDR); err == nil {
		k.mu.Lock()
		m.useNetwork(cidr)
		k.mu.Unlock()
	}
	labels := maps.Clone(node.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, want.Labels)
	if !maps.Equal(labels, node.Labels) {
		node.Labels = labels
		if node, err = api.Update(ctx, node, metav1.UpdateOptions{}); err != nil {
			return nil, err
		}
	}
	return node, k.reportNode(ctx, m, node)
}

// own is the client with which the node says that it is alive.
func (k *Kubelets) own(m *machine) kubernetes.Interface {
	if m.Client != nil {
		return m.Client
	}
	return k.client
}

// reportNode posts the status of a node. A conflict is an error: the retry finds the newer node.
func (k *Kubelets) reportNode(ctx context.Context, m *machine, node *corev1.Node) error {
	next := node.DeepCopy()
	k.mu.Lock()
	m.report(next, k.clock.Now())
	k.mu.Unlock()
	if _, err := k.own(m).CoreV1().Nodes().UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("post status of node %q: %w", m.Name, err)
	}
	k.mu.Lock()
	m.reported = k.clock.Now()
	k.mu.Unlock()
	return nil
}

// renewLease renews the node's lease, or makes it when there is none.
func (k *Kubelets) renewLease(ctx context.Context, m *machine) error {
	api := k.own(m).CoordinationV1().Leases(corev1.NamespaceNodeLease)
	k.mu.Lock()
	lease, known := m.leaseObject(k.clock.Now()), m.lease
	k.mu.Unlock()
	var err error
	if known != nil {
		lease.ResourceVersion = known.ResourceVersion
		lease, err = api.Update(ctx, lease, metav1.UpdateOptions{})
	} else if lease, err = api.Create(ctx, lease, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
		lease, err = api.Get(ctx, m.Name, metav1.GetOptions{})
		if err == nil {
			found := lease.ResourceVersion
			k.mu.Lock()
			lease = m.leaseObject(k.clock.Now())
			k.mu.Unlock()
			lease.ResourceVersion = found
			lease, err = api.Update(ctx, lease, metav1.UpdateOptions{})
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		m.lease = nil // whatever is there is looked at again
		return fmt.Errorf("renew lease of node %q: %w", m.Name, err)
	}
	m.lease = lease
	return nil
}
