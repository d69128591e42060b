package world

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/seatrial/seatrial/harness/trace"
)

// mirrorAnnotation marks the API object of a static pod.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-mirror
const mirrorAnnotation = "kubernetes.io/config.mirror"

// controlPlaneLabel is what kubeadm gives to control plane nodes.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#node-role-kubernetes-io-control-plane
const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// The structs below name what the fold reads of an object and nothing else: decoding is most of the cost of judging a trace.

type metadata struct {
	Namespace         string            `json:"namespace"`
	Name              string            `json:"name"`
	UID               string            `json:"uid"`
	Labels            map[string]string `json:"labels"`
	Annotations       map[string]string `json:"annotations"`
	DeletionTimestamp *string           `json:"deletionTimestamp"`
	OwnerReferences   []struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Name       string `json:"name"`
		Controller bool   `json:"controller"`
	} `json:"ownerReferences"`
}

// controller is the key of the workload that controls the object, or "".
func (m *metadata) controller() string {
	for _, owner := range m.OwnerReferences {
		if owner.Controller {
			return strings.ToLower(owner.Kind) + "/" + m.Namespace + "/" + owner.Name
		}
	}
	return ""
}

// owningWorkload is the key of the Deployment or CronJob that controls the object, or "". What a custom resource owns, as an operator's StatefulSet, has nobody above it whose replicas and pods could be
// looked at: it speaks for itself.
func (m *metadata) owningWorkload() string {
	for _, owner := range m.OwnerReferences {
		group, _, _ := strings.Cut(owner.APIVersion, "/")
		if owner.Controller && (owner.Kind == "Deployment" && group == "apps" || owner.Kind == "CronJob" && group == "batch") {
			return m.controller()
		}
	}
	return ""
}

type podObject struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		NodeName   string   `json:"nodeName"`
		Volumes    []volume `json:"volumes"`
		Containers []struct {
			Image string `json:"image"`
		} `json:"containers"`
	} `json:"spec"`
	Status struct {
		Phase             string      `json:"phase"`
		Conditions        []condition `json:"conditions"`
		ContainerStatuses []struct {
			RestartCount int32 `json:"restartCount"`
			State        struct {
				Waiting *struct {
					Reason string `json:"reason"`
				} `json:"waiting"`
			} `json:"state"`
		} `json:"containerStatuses"`
	} `json:"status"`
}

type condition struct {
	Type   string `json:"type"`
	Status string `json:"status"`
	Reason string `json:"reason"`
}

type workloadObject struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Replicas    *int `json:"replicas"`
		Parallelism *int `json:"parallelism"` // of a Job
		Template    struct {
			Metadata struct {
				Labels map[string]string `json:"labels"`
			} `json:"metadata"`
			Spec struct {
				Volumes []volume `json:"volumes"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
	Status struct {
		DesiredNumberScheduled int `json:"desiredNumberScheduled"`
	} `json:"status"`
}

// volume is a volume by the name of its source.
type volume map[string]json.RawMessage

// emptyDir tells whether the volume is one. The API server makes it the source of a volume that has none.
// https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume/
func (v volume) emptyDir() bool {
	_, named := v["emptyDir"]
	return named || len(v) == 1
}

// podState is what the fold remembers of a pod beside the entity.
type podState struct {
	taken *Taken
}

func (f *Fold) pod(e trace.Event, key string, gone bool, o *podObject) {
	old := f.World.Pods[key]
	state := f.pods[key]
	if state == nil || (old != nil && old.UID != o.Metadata.UID) {
		state = &podState{}
		f.pods[key] = state
	}
	pod := readPod(o, f.World)
	pod.Object = jsontext.Value(e.Data)
	pod.Deleting = pod.Deleting || gone
	if pod.Deleting && (old == nil || !old.Deleting) {
		state.taken = f.taken(o, pod, state.taken, e.Op)
		state.taken.WasHealthy = old != nil && old.Healthy()
	}
	pod.Taken = state.taken
	if old != nil {
		pod.Budgets = old.Budgets
	}
	if gone {
		delete(f.World.Pods, key)
		delete(f.pods, key)
	} else {
		f.World.Pods[key] = pod
	}
	f.touch("pods", key)
	f.note(key, pod.Taken, gone)
	f.podInBudgets(old, pod, gone, e)
	f.podInWorkloads(old, pod, gone)
	f.podInComponents(o, pod, gone)
}

func readPod(o *podObject, w *World) *Pod {
	pod := &Pod{
		Namespace: o.Metadata.Namespace, Name: o.Metadata.Name, UID: o.Metadata.UID,
		Node: o.Spec.NodeName, Labels: o.Metadata.Labels, Phase: o.Status.Phase,
		Deleting: o.Metadata.DeletionTimestamp != nil,
		Mirror:   o.Metadata.Annotations[mirrorAnnotation] != "",
		Budgets:  []string{},
	}
	for _, v := range o.Spec.Volumes {
		pod.EmptyDir = pod.EmptyDir || v.emptyDir()
	}
	for _, c := range o.Status.Conditions {
		if c.Type == string(corev1.PodReady) {
			pod.Ready = c.Status == string(corev1.ConditionTrue)
		}
	}
	for _, c := range o.Status.ContainerStatuses {
		pod.Restarts += c.RestartCount
		if c.State.Waiting != nil && pod.WaitingReason == "" {
			pod.WaitingReason = c.State.Waiting.Reason
		}
	}
	if pod.Controller = o.Metadata.controller(); pod.Controller != "" {
		pod.Workload = w.topOwner(pod.Controller)
	}
	return pod
}

// topOwner follows owners from a controller to the topmost workload known.
func (w *World) topOwner(key string) string {
	if c := w.Workloads[key]; c != nil && c.Owner != "" {
		return c.Owner
	}
	return key
}

// note keeps the list of pods that are being taken.
func (f *Fold) note(key string, taken *Taken, gone bool) {
	if taken == nil && f.World.Takings[key] == nil {
		return
	}
	if gone || taken == nil {
		delete(f.World.Takings, key)
	} else {
		f.World.Takings[key] = taken
	}
	f.touch("takings", key)
}

// taken says how a pod is taken at the moment when its deletion begins. A plain delete of ours always gets its way; an
// eviction that we announced may be refused for so long that the node is lost first.
func (f *Fold) taken(o *podObject, pod *Pod, announced *Taken, op string) *Taken {
	how := f.howTaken(o, pod)
	if announced != nil && (announced.How == TakenDeleted || how != TakenLost) {
		copied := *announced
		return &copied
	}
	node := f.World.Nodes[pod.Node]
	return &Taken{Pod: pod.Subject(), Node: pod.Node, How: how, Op: op, NodeCordoned: node != nil && node.Cordoned}
}

// howTaken finds out who deletes a pod.
// https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
func (f *Fold) howTaken(o *podObject, pod *Pod) string {
	for _, c := range o.Status.Conditions {
		if c.Type != string(corev1.DisruptionTarget) || c.Status != string(corev1.ConditionTrue) {
			continue
		}
		switch c.Reason {
		case "EvictionByEvictionAPI":
			return TakenEvicted
		case "DeletionByTaintManager", "DeletionByPodGC", corev1.PodReasonTerminationByKubelet:
			return TakenLost
		}
	}
	if n := f.World.Nodes[pod.Node]; n != nil && !n.Powered {
		return TakenLost
	}
	return TakenOther
}

// taking notes that a drain is about to take a pod, before the API server hears of it.
func (f *Fold) taking(e trace.Event, key string, _ bool) error {
	pod := f.World.Pods[key]
	if pod == nil {
		return nil
	}
	var d trace.TakingData
	if err := jsonv2.Unmarshal(e.Data, &d); err != nil {
		return fmt.Errorf("pod %s: %w", key, err)
	}
	how := TakenEvicted
	if e.Change == trace.Deleting {
		how = TakenDeleted
	}
	node := f.World.Nodes[d.Node]
	taken := &Taken{
		Pod: pod.Subject(), Node: d.Node, How: how, Op: e.Op, Force: d.Force,
		NodeCordoned: node != nil && node.Cordoned, WasHealthy: pod.Healthy(),
	}
	f.pods[key].taken = taken
	f.note(key, taken, false)
	updated := *pod
	updated.Taken = taken
	f.World.Pods[key] = &updated
	f.touch("pods", key)
	return nil
}

func (f *Fold) node(e trace.Event, key string, gone bool) error {
	var o struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			Unschedulable bool `json:"unschedulable"`
		} `json:"spec"`
		Status struct {
			Conditions []condition `json:"conditions"`
			NodeInfo   struct {
				KubeletVersion string `json:"kubeletVersion"`
			} `json:"nodeInfo"`
		} `json:"status"`
	}
	if err := jsonv2.Unmarshal(e.Data, &o); err != nil {
		return fmt.Errorf("node %s: %w", key, err)
	}
	n := &Node{
		Name: key, Role: "worker", Cordoned: o.Spec.Unschedulable, Ready: string(corev1.ConditionUnknown),
		Powered: true, KubeletVersion: o.Status.NodeInfo.KubeletVersion, Object: jsontext.Value(e.Data),
	}
	if _, ok := o.Metadata.Labels[controlPlaneLabel]; ok {
		n.Role = "control-plane"
	}
	if old := f.World.Nodes[key]; old != nil {
		n.Powered = old.Powered
	}
	reason := "no condition Ready"
	for _, c := range o.Status.Conditions {
		if c.Type == string(corev1.NodeReady) {
			n.Ready, reason = c.Status, c.Reason
		}
	}
	if gone {
		delete(f.World.Nodes, key)
	} else {
		f.World.Nodes[key] = n
	}
	f.intervals.set(NodeCordoned, n.Subject(), !gone && n.Cordoned, e, "spec.unschedulable")
	f.intervals.set(NodeNotReady, n.Subject(), !gone && n.Ready != string(corev1.ConditionTrue), e, reason)
	f.touch("nodes", key)
	return nil
}

func (f *Fold) workload(e trace.Event, key string, gone bool) error {
	var o workloadObject
	if err := jsonv2.Unmarshal(e.Data, &o); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	w := readWorkload(&o, key)
	old := f.World.Workloads[key]
	if gone {
		delete(f.World.Workloads, key)
	} else {
		f.World.Workloads[key] = w
	}
	f.touch("workloads", key)
	if old != nil {
		w.Ready, w.Nodes = old.Ready, old.Nodes
	} else {
		f.claim(w)
	}
	f.workloadInBudgets(w, gone, e)
	return nil
}

// claim counts the pods of a workload that came to light after them, and gives those of a ReplicaSet to its Deployment.
func (f *Fold) claim(w *Workload) {
	if w.Owner != "" {
		for _, name := range sortedKeys(f.World.Pods) {
			if pod := f.World.Pods[name]; pod.Controller == w.Key() && pod.Workload != w.Owner {
				adopted := *pod
				adopted.Workload = w.Owner
				f.World.Pods[name] = &adopted
				f.touch("pods", name)
			}
		}
		f.recount(w.Owner)
	}
	f.recount(w.Key())
}

// recount counts a workload's pods from the beginning.
func (f *Fold) recount(key string) {
	w := f.World.Workloads[key]
	if w == nil {
		return
	}
	w.Ready, w.Nodes = 0, map[string]int{}
	for _, pod := range f.World.Pods {
		if pod.Workload == key || pod.Controller == key {
			w.count(pod, +1)
		}
	}
	f.touch("workloads", key)
}

func readWorkload(o *workloadObject, key string) *Workload {
	kind, _, _ := strings.Cut(key, "/")
	w := &Workload{
		Kind: kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name,
		Labels: o.Spec.Template.Metadata.Labels, Budgets: []string{}, Nodes: map[string]int{},
	}
	switch {
	case kind == "daemonset":
		w.Replicas = o.Status.DesiredNumberScheduled
	case kind == "job" && o.Spec.Parallelism != nil:
		w.Replicas = *o.Spec.Parallelism
	case o.Spec.Replicas != nil:
		w.Replicas = *o.Spec.Replicas
	default:
		w.Replicas = 1 // the API's default for all of them
	}
	for _, v := range o.Spec.Template.Spec.Volumes {
		w.EmptyDir = w.EmptyDir || v.emptyDir()
	}
	w.Owner = o.Metadata.owningWorkload()
	return w
}

// podInWorkloads keeps the ready pods and the spread of a pod's controller and topmost owner.
func (f *Fold) podInWorkloads(old, pod *Pod, gone bool) {
	if old != nil {
		f.countPod(old, -1)
	}
	if !gone {
		f.countPod(pod, +1)
	}
}

func (f *Fold) countPod(pod *Pod, by int) {
	owners := []string{pod.Workload}
	if pod.Controller != pod.Workload {
		owners = append(owners, pod.Controller)
	}
	for _, key := range owners {
		if w := f.World.Workloads[key]; w != nil {
			w.count(pod, by)
			f.touch("workloads", key)
		}
	}
}

func (w *Workload) count(pod *Pod, by int) {
	if pod.Healthy() {
		w.Ready += by
	}
	if pod.Node == "" || pod.Deleting {
		return
	}
	if w.Nodes[pod.Node] += by; w.Nodes[pod.Node] == 0 {
		delete(w.Nodes, pod.Node)
	}
}

// sliceState is what one EndpointSlice adds to its Service.
type sliceState struct {
	service        string
	ready, serving int
}

func (f *Fold) endpointSlice(e trace.Event, key string, gone bool) error {
	var o discoveryv1.EndpointSlice
	if err := jsonv2.Unmarshal(e.Data, &o); err != nil {
		return fmt.Errorf("fold event %d: endpointslice %s: %w", e.Seq, key, err)
	}
	name := o.Labels[discoveryv1.LabelServiceName]
	if name == "" {
		return nil
	}
	state := sliceState{service: o.Namespace + "/" + name}
	for _, ep := range o.Endpoints {
		switch c := ep.Conditions; {
		case c.Ready == nil || *c.Ready:
			state.ready++
		case c.Serving != nil && *c.Serving:
			state.serving++
		}
	}
	if gone {
		delete(f.slices, key)
	} else {
		f.slices[key] = state
	}
	service := &Service{Namespace: o.Namespace, Name: name}
	for _, s := range f.slices {
		if s.service == state.service {
			service.Ready += s.ready
			service.Serving += s.serving
		}
	}
	f.World.Services[state.service] = service
	f.touch("services", state.service)
	return nil
}

// sortedKeys lists a map's keys in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
