package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// node has the addresses in the order that they are given.
func node(podCIDR string, addresses ...corev1.NodeAddress) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "worker-1"}, Spec: corev1.NodeSpec{PodCIDR: podCIDR}, Status: corev1.NodeStatus{Addresses: addresses},
	}
}

var (
	hostName = corev1.NodeAddress{Type: corev1.NodeHostName, Address: "worker-1"}
	external = corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "203.0.113.7"}
	internal = corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "172.18.0.3"}
	another  = corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "172.18.0.4"}
)

func TestPlace(t *testing.T) {
	for _, test := range []struct {
		name   string
		object any
		want   string
	}{
		{"internal address among others", node("10.244.1.0/24", hostName, external, internal), "172.18.0.3 10.244.1.0/24"},
		{"the first internal address", node("10.244.1.0/24", internal, another), "172.18.0.3 10.244.1.0/24"},
		{"no address yet", node("10.244.1.0/24", hostName), " 10.244.1.0/24"},
		{"no pods yet", node("", internal), "172.18.0.3 "},
		{"what a deletion leaves", cache.DeletedFinalStateUnknown{Key: "worker-1", Obj: node("10.244.1.0/24", internal)}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			NewWithT(t).Expect(place(test.object)).To(Equal(test.want))
		})
	}
}

// TestPlaceOfHeartbeats has the changes that come every few seconds on each node: nothing is to be done for them.
func TestPlaceOfHeartbeats(t *testing.T) {
	g := NewWithT(t)
	before, after := node("10.244.1.0/24", hostName, internal), node("10.244.1.0/24", internal)
	after.ResourceVersion, after.Spec.Unschedulable = "2", true
	after.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	g.Expect(place(after)).To(Equal(place(before)))
	g.Expect(place(node("10.244.2.0/24", internal))).NotTo(Equal(place(before)))
	g.Expect(place(node("10.244.1.0/24", another))).NotTo(Equal(place(before)))
}

func TestNote(t *testing.T) {
	g := NewWithT(t)
	changed := make(chan struct{}, 1)
	for range 3 {
		note(changed) // must not wait
	}
	g.Expect(changed).To(Receive())
	g.Expect(changed).NotTo(Receive(), "three changes are one thing to do")
}

func TestConfigure(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "10-podnet.conflist")
	g.Expect(configure(file, "10.244.1.0/24")).To(Succeed())
	text, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred())
	var list struct {
		CNIVersion, Name string
		Plugins          []struct {
			Type string
			IPAM struct {
				Type   string
				Ranges [][]struct{ Subnet string }
				Routes []struct{ Dst string }
			}
			Capabilities map[string]bool
		}
	}
	g.Expect(json.Unmarshal(text, &list)).To(Succeed())
	g.Expect(list.CNIVersion).To(Equal("0.4.0"))
	g.Expect(list.Name).To(Equal("podnet"))
	g.Expect(list.Plugins).To(HaveLen(2))
	ptp, portmap := list.Plugins[0], list.Plugins[1]
	g.Expect(ptp.Type).To(Equal("ptp"))
	g.Expect(ptp.IPAM.Type).To(Equal("host-local"))
	g.Expect(ptp.IPAM.Ranges).To(HaveExactElements(HaveExactElements(HaveField("Subnet", "10.244.1.0/24"))))
	g.Expect(ptp.IPAM.Routes).To(HaveExactElements(HaveField("Dst", "0.0.0.0/0")))
	g.Expect(portmap.Type).To(Equal("portmap"))
	g.Expect(portmap.Capabilities).To(Equal(map[string]bool{"portMappings": true}))

	before, err := os.Stat(file)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(configure(file, "10.244.1.0/24")).To(Succeed())
	after, err := os.Stat(file)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.SameFile(before, after)).To(BeTrue(), "the container runtime was made to load again what it has")

	g.Expect(configure(file, "10.244.2.0/24")).To(Succeed())
	g.Expect(os.ReadFile(file)).To(ContainSubstring(`"10.244.2.0/24"`))
	left, err := os.ReadDir(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(HaveExactElements(HaveField("Name()", "10-podnet.conflist")), "what is in this folder the runtime takes for configuration")
}

func TestConfigureNowhere(t *testing.T) {
	NewWithT(t).Expect(configure(filepath.Join(t.TempDir(), "gone", "10-podnet.conflist"), "10.244.1.0/24")).To(MatchError(os.ErrNotExist))
}
