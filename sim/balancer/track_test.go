package balancer

import (
	"net"
	"testing"

	. "github.com/onsi/gomega"
)

// TestLeftOutWhileDialled: a connection whose backend was left out between being chosen and being connected does not go on.
func TestLeftOutWhileDialled(t *testing.T) {
	g := NewWithT(t)
	b, err := Listen(t.Context(), "127.0.0.1:0", []string{"10.0.0.1:6443"})
	g.Expect(err).NotTo(HaveOccurred())
	defer b.Close()
	conn, far := net.Pipe()
	defer conn.Close()
	defer far.Close()
	g.Expect(b.track(conn, "10.0.0.1:6443")).To(BeTrue())
	b.SetBackends([]string{"10.0.0.2:6443"})
	g.Expect(b.track(conn, "10.0.0.1:6443")).To(BeFalse())
	g.Expect(b.track(conn, "10.0.0.2:6443")).To(BeTrue())
}
