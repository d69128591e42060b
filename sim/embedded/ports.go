package embedded

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// loopback is where everything listens.
const loopback = "127.0.0.1"

// ports are TCP ports on loopback that are ours for as long as the cluster lives, also while nobody listens on them:
// a node that has no power finds its ports again when it boots.
//
// Each one is held by a socket that is bound with SO_REUSEPORT and never listens. The kernel gives such a port to
// nobody who asks for a free one, and lets a component bind it that sets SO_REUSEPORT too (--permit-port-sharing,
// etcd's socket-options). So there is no moment at which somebody else could take it.
type ports struct {
	etcdClient, etcdPeer, apiServer, controllerManager, scheduler int

	sockets []int
}

// all lists them, always in this order.
func (p *ports) all() []*int {
	return []*int{&p.etcdClient, &p.etcdPeer, &p.apiServer, &p.controllerManager, &p.scheduler}
}

// reservePorts reserves ports that are free, or, when there are any, those of an earlier life.
func reservePorts(earlier []int) (*ports, error) {
	p := &ports{}
	for i, port := range p.all() {
		if i < len(earlier) {
			*port = earlier[i]
		}
		if err := p.reserve(port); err != nil {
			p.close()
			return nil, fmt.Errorf("reserve port %d of loopback: %w", *port, err)
		}
	}
	return p, nil
}

// reserve holds a port, any when it is 0.
func (p *ports) reserve(port *int) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	p.sockets = append(p.sockets, socket)
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return err
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Port: *port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	name, err := unix.Getsockname(socket)
	if err != nil {
		return err
	}
	*port = name.(*unix.SockaddrInet4).Port
	return nil
}

// close gives the ports back.
func (p *ports) close() {
	for _, socket := range p.sockets {
		_ = unix.Close(socket) // a socket that nobody else has, without data
	}
	p.sockets = nil
}

// address is "127.0.0.1:port".
func address(port int) string { return fmt.Sprintf("%s:%d", loopback, port) }
