package kind

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/seatrial/seatrial/harness/cluster"
)

var _ cluster.Pods = (*Cluster)(nil)

// LoadSeatrial implements [cluster.Pods], as kind load image-archive does.
func (c *Cluster) LoadSeatrial(ctx context.Context) error {
	if c.options.Seatrial == nil {
		return fmt.Errorf("there is no image %s to give to the nodes", cluster.SeatrialImage)
	}
	return each(c.controlPlanes(), func(m machine) error {
		read, write := io.Pipe()
		defer read.Close()
		go func() { write.CloseWithError(c.options.Seatrial(write)) }()
		_, err := c.run(ctx, m, read, "ctr", "--namespace=k8s.io", "images", "import", "-")
		return err
	})
}

// HostAddress implements [cluster.Pods]: nodes leave their network by way of this machine.
func (c *Cluster) HostAddress(ctx context.Context) (string, error) {
	m := c.controlPlanes()[0]
	out, err := c.run(ctx, m, nil, "ip", "-4", "route", "show", "default")
	if err != nil {
		return "", err
	}
	return gateway(m.node, out)
}

// gateway is that of the first route in what ip says: "default via 10.89.0.1 dev eth0".
func gateway(node, routes string) (string, error) {
	words := strings.Fields(routes)
	if at := slices.Index(words, "via"); at >= 0 && at+1 < len(words) {
		if address, err := netip.ParseAddr(words[at+1]); err == nil {
			return address.String(), nil
		}
	}
	return "", fmt.Errorf("node %q has no route to this machine: ip says %q", node, routes)
}
