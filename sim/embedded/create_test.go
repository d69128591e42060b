package embedded

import (
	"errors"
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/seatrial/seatrial/harness/cluster"
)

func TestAddonsAreOfTheClustersVersion(t *testing.T) {
	g := NewWithT(t)
	images := func(kubernetes string) map[string]string {
		objects, err := addonObjects(kubernetes)
		g.Expect(err).NotTo(HaveOccurred())
		found := map[string]string{}
		for _, object := range objects {
			switch o := object.(type) {
			case *appsv1.DaemonSet:
				found[o.Name] = o.Spec.Template.Spec.Containers[0].Image
			case *appsv1.Deployment:
				found[o.Name] = o.Spec.Template.Spec.Containers[0].Image
			}
		}
		return found
	}
	g.Expect(images("v1.33.6")).To(Equal(map[string]string{
		"kube-proxy": "registry.k8s.io/kube-proxy:v1.33.6", "coredns": "registry.k8s.io/coredns/coredns:v1.12.0",
	}))
	g.Expect(images("v1.99.0")).To(HaveKeyWithValue("coredns", "registry.k8s.io/coredns/coredns:"+newestCoreDNS))
}

func TestWhoseEndEndsTheCreation(t *testing.T) {
	for _, tt := range []struct {
		component string
		planes    int
		ran       time.Duration
		again     bool
	}{
		{etcd, 1, time.Minute, false},
		{apiServer, 1, time.Minute, false},
		{apiServer, 3, time.Second, true},
		{controllerManager, 3, time.Second, false},
		{controllerManager, 1, renewDeadline, true},
		{scheduler, 1, renewDeadline, true},
	} {
		g := NewWithT(t)
		c := newCluster(t.Context(), Options{}, cluster.Spec{}, Release{})
		c.planes = make([]*controlPlane, tt.planes)
		var ended error
		c.setFailing(func(err error) { ended = err })
		m, cause := &component{cluster: c, name: tt.component}, errors.New("exit status 1")
		g.Expect(c.ended(m, tt.ran, cause)).To(Equal(tt.again), "%+v", tt)
		if tt.again {
			g.Expect(ended).NotTo(HaveOccurred())
			g.Expect(c.ended(m, tt.ran, cause)).To(BeFalse(), "%+v, the second time", tt)
		}
		g.Expect(ended).To(MatchError(cause))
		g.Expect(c.restarts).To(BeEmpty(), "nothing has been recorded yet")
	}
}

func TestReservedPortsAreOurs(t *testing.T) {
	g := NewWithT(t)
	p, err := reservePorts(nil)
	g.Expect(err).NotTo(HaveOccurred())
	defer p.close()

	_, err = net.Listen("tcp", address(p.apiServer))
	g.Expect(err).To(MatchError(unix.EADDRINUSE), "a port that anybody can take is not reserved")
	_, err = net.Dial("tcp", address(p.apiServer))
	g.Expect(err).To(MatchError(unix.ECONNREFUSED), "a port that nobody listens on must not swallow connections")

	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	g.Expect(err).NotTo(HaveOccurred())
	defer unix.Close(fd)
	g.Expect(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)).To(Succeed())
	g.Expect(unix.Bind(fd, &unix.SockaddrInet4{Port: p.apiServer, Addr: [4]byte{127, 0, 0, 1}})).To(Succeed())
	g.Expect(unix.Listen(fd, 1)).To(Succeed())
	conn, err := net.Dial("tcp", address(p.apiServer))
	g.Expect(err).NotTo(HaveOccurred(), "the component that shares the port is reached")
	conn.Close()
}
