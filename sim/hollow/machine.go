package hollow

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seatrial/seatrial/harness/cluster"
)

// What a kubelet does by default; see https://kubernetes.io/docs/reference/node/node-status/#heartbeats
const (
	leaseDuration   = 40 * time.Second
	leaseRenewals   = 4 // in that time
	statusInterval  = 5 * time.Minute
	defaultCapacity = 110 // pods
	maxCapacity     = 250 // pods: what a /24 holds, with some to spare for those that are going
)

// machine is one hollow node.
type machine struct {
	Node
	ip   netip.Addr
	cidr netip.Prefix

	// link is held for reading during every API call of the node, and for writing to cut it: when PowerOff
	// returns, no call of the node is under way.
	link sync.RWMutex

	// What follows is guarded by Kubelets.mu.
	powered, connected bool
	online             context.Context // done when the power or the connection goes
	cut                context.CancelFunc
	off                time.Time // when the power went
	boots              int
	booting            bool // the node has to register
	registered         bool // the node has registered once
	uid                types.UID
	gone               bool // somebody deleted the Node; a kubelet does not register again before it is restarted
	lease              *coordinationv1.Lease
	reported           time.Time // the last status
	addresses          map[netip.Addr]struct{}
	lastAddress        netip.Addr
}

// newMachine is the node number i, from 0. The number gives it its addresses.
func newMachine(i int, n Node) *machine {
	if n.PodCapacity == 0 {
		n.PodCapacity = defaultCapacity
	}
	if n.LeaseDuration == 0 {
		n.LeaseDuration = leaseDuration
	}
	m := &machine{
		Node:      n,
		ip:        offset(netip.AddrFrom4([4]byte{172, 16, 0, 0}), uint32(i)+1),
		cidr:      netip.PrefixFrom(offset(netip.AddrFrom4([4]byte{10, 128, 0, 0}), uint32(i)<<8), 24),
		powered:   true,
		connected: true,
		booting:   true,
		addresses: map[netip.Addr]struct{}{},
	}
	m.lastAddress = m.cidr.Addr()
	return m
}

// useNetwork gives pods their addresses from another network from now on.
func (m *machine) useNetwork(cidr netip.Prefix) {
	if cidr != m.cidr {
		m.cidr, m.lastAddress = cidr, cidr.Addr()
	}
}

// maxNodes is how many pod networks of /24 there are in 10.128.0.0/9.
const maxNodes = 1 << 15

func offset(a netip.Addr, by uint32) netip.Addr {
	b := a.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+by)
	return netip.AddrFrom4(b)
}

// address gives out the next free address of the node's pod network, the one after the last, as host-local does: an address that was just freed
// is not used again at once. wanted is taken when it is free.
func (m *machine) address(wanted string) netip.Addr {
	if a, err := netip.ParseAddr(wanted); err == nil && m.cidr.Contains(a) {
		if _, used := m.addresses[a]; !used {
			m.addresses[a] = struct{}{}
			return a
		}
	}
	for range 254 {
		a := m.lastAddress.Next()
		if !m.cidr.Contains(a.Next()) { // the last is for broadcasts
			a = m.cidr.Addr().Next()
		}
		m.lastAddress = a
		if _, used := m.addresses[a]; !used {
			m.addresses[a] = struct{}{}
			return a
		}
	}
	return m.lastAddress // more pods than addresses: maxCapacity keeps the scheduler from it
}

// object is the Node as the kubelet registers it.
func (m *machine) object(now time.Time) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: m.Name,
			Labels: map[string]string{
				corev1.LabelHostname:   m.Name,
				corev1.LabelOSStable:   "linux",
				corev1.LabelArchStable: runtime.GOARCH,
			},
			Annotations: map[string]string{"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
		},
		Spec: corev1.NodeSpec{
			// The pod network comes with the node. So no controller has to write it, one write a node, before pods get addresses.
			PodCIDR:  m.cidr.String(),
			PodCIDRs: []string{m.cidr.String()},
			Taints:   m.Taints,
		},
	}
	if m.Role == cluster.ControlPlane {
		n.Labels["node-role.kubernetes.io/control-plane"] = ""
	}
	maps.Copy(n.Labels, m.Labels)
	m.report(n, now)
	return n
}

// report writes the status of the node into n.
func (m *machine) report(n *corev1.Node, now time.Time) {
	resources := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("32"),
		corev1.ResourceMemory:           resource.MustParse("256Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
		corev1.ResourcePods:             *resource.NewQuantity(int64(m.PodCapacity), resource.DecimalSI),
	}
	s := &n.Status
	s.Capacity, s.Allocatable = resources, resources
	s.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: m.ip.String()},
		{Type: corev1.NodeHostName, Address: m.Name},
	}
	s.NodeInfo = corev1.NodeSystemInfo{
		MachineID:               fingerprint(m.Name),
		SystemUUID:              fingerprint(m.Name),
		BootID:                  fingerprint(fmt.Sprintf("%s boot %d", m.Name, m.boots)),
		KernelVersion:           "hollow",
		OSImage:                 "seatrial hollow node",
		ContainerRuntimeVersion: "hollow://1",
		KubeletVersion:          m.KubeletVersion,
		OperatingSystem:         "linux",
		Architecture:            runtime.GOARCH,
	}
	m.setCondition(s, corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available", now)
	m.setCondition(s, corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "kubelet has no disk pressure", now)
	m.setCondition(s, corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "kubelet has sufficient PID available", now)
	m.setCondition(s, corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status", now)
}

func (m *machine) setCondition(s *corev1.NodeStatus, kind corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string, now time.Time) {
	c := corev1.NodeCondition{
		Type: kind, Status: status, Reason: reason, Message: message,
		LastHeartbeatTime: seconds(now), LastTransitionTime: seconds(now),
	}
	for i, old := range s.Conditions {
		if old.Type != kind {
			continue
		}
		if old.Status == status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		s.Conditions[i] = c
		return
	}
	s.Conditions = append(s.Conditions, c)
}

// healthy says whether the API has the node as Ready.
func healthy(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// leaseInterval is the time between two renewals of the lease.
func (m *machine) leaseInterval() time.Duration { return m.LeaseDuration / leaseRenewals }

// leaseObject is the node's lease, renewed now.
func (m *machine) leaseObject(now time.Time) *coordinationv1.Lease {
	holder, duration := m.Name, int32(m.LeaseDuration/time.Second)
	renewed := metav1.NewMicroTime(now)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: m.Name, Namespace: corev1.NamespaceNodeLease,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: m.Name, UID: m.uid}},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &duration, RenewTime: &renewed},
	}
}

// mirror is the pod that shows a static pod of the node.
func (m *machine) mirror(static corev1.Pod, now time.Time) *corev1.Pod {
	p := static.DeepCopy()
	p.Name = mirrorName(static, m.Name)
	p.Namespace = namespaceOf(static)
	hash := configHash(static)
	p.Annotations = maps.Clone(p.Annotations)
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	p.Annotations["kubernetes.io/config.source"] = "file"
	p.Annotations["kubernetes.io/config.hash"] = hash
	p.Annotations["kubernetes.io/config.seen"] = now.Format(time.RFC3339Nano)
	p.Annotations[corev1.MirrorPodAnnotationKey] = hash
	controller := true
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: m.Name, UID: m.uid, Controller: &controller}}
	p.Spec.NodeName = m.Name
	p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute})
	return p
}

func mirrorName(static corev1.Pod, node string) string { return static.Name + "-" + node }

func namespaceOf(static corev1.Pod) string {
	if static.Namespace == "" {
		return metav1.NamespaceDefault
	}
	return static.Namespace
}

// configHash identifies the contents of a static pod's file.
func configHash(static corev1.Pod) string {
	raw, err := static.Marshal()
	if err != nil {
		panic(fmt.Sprintf("encode static pod %q: %v", static.Name, err)) // marshalling a struct of ours to memory
	}
	return fmt.Sprintf("%x", sha256.Sum256(raw))[:32]
}

// fingerprint makes an identifier in the form of a UUID from a text.
func fingerprint(text string) string {
	h := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// spread is a share of d between a quarter and the whole, different from node to node: so that they do not all renew in the same instant.
func (m *machine) spread(d time.Duration) time.Duration {
	h := sha256.Sum256([]byte(m.Name))
	share := time.Duration(binary.BigEndian.Uint16(h[:]))
	return d/4 + (d-d/4)*share/(1<<16)
}

// free gives an address back.
func (m *machine) free(address string) {
	if a, err := netip.ParseAddr(address); err == nil {
		delete(m.addresses, a)
	}
}
