package kind

import (
	"testing"

	. "github.com/onsi/gomega"
)

// TestGateway reads what ip says of a node's routes.
func TestGateway(t *testing.T) {
	g := NewWithT(t)
	g.Expect(gateway("cp-1", "default via 10.89.0.1 dev eth0 proto static metric 100\n")).To(Equal("10.89.0.1"))
	for _, routes := range []string{"", "default dev eth0 scope link\n", "default via\n", "default via nowhere dev eth0\n"} {
		_, err := gateway("cp-1", routes)
		g.Expect(err).To(MatchError(ContainSubstring(`node "cp-1" has no route to this machine`)), routes)
	}
}
