// Package balancer is the TCP balancer before the API servers of a cluster.
//
// It gives each new connection to the next backend in turn, and to the one after when that can't be reached; it looks
// into nothing. It knows nothing of Kubernetes, so that it can run inside this process (sim/embedded) or alone in a
// container (kind's load balancer image).
//
//	b, err := balancer.Listen(ctx, "127.0.0.1:0", []string{"127.0.0.1:6443", "127.0.0.1:6444"})
//	fmt.Println(b.Addr())
//	defer b.Close()
package balancer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// DialTimeout is how long a backend may take to accept a connection before the next one is tried.
const DialTimeout = 2 * time.Second

// acceptPause is the wait after an accept failed for want of file descriptors or memory.
const acceptPause = 50 * time.Millisecond

// Balancer forwards connections until it is closed. Its methods may be called from several goroutines.
type Balancer struct {
	listener net.Listener
	log      *slog.Logger
	ctx      context.Context // ends dials when the balancer is closed
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu       sync.Mutex
	backends []string
	next     int
	closed   bool
	conns    map[net.Conn]string // with the backend that they lead to, once there is one
}

// Listen listens on a TCP address ("127.0.0.1:0" takes a free port) and forwards to the backends, each "host:port".
// The balancer ends with Close or with the context.
func Listen(ctx context.Context, addr string, backends []string) (*Balancer, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	b := &Balancer{
		listener: listener,
		log:      slog.Default(),
		backends: slices.Clone(backends),
		conns:    map[net.Conn]string{},
	}
	b.ctx, b.cancel = context.WithCancel(ctx)
	context.AfterFunc(b.ctx, b.closeConns)
	b.running.Go(b.accept)
	return b, nil
}

// Addr is the address that it listens on, "host:port".
func (b *Balancer) Addr() string { return b.listener.Addr().String() }

// SetBackends replaces the backends. Connections to one that is left out are closed: a client that keeps one to a server that hangs would never ask another.
func (b *Balancer) SetBackends(backends []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = slices.Clone(backends)
	b.next = 0
	for conn, backend := range b.conns {
		if backend != "" && !slices.Contains(backends, backend) {
			conn.Close()
		}
	}
}

// Close closes the listener and every connection, and waits until they are closed. It may be called more than once.
func (b *Balancer) Close() error {
	b.cancel()
	b.closeConns()
	b.running.Wait()
	return nil
}

func (b *Balancer) closeConns() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.listener.Close()
	for conn := range b.conns {
		conn.Close()
	}
}

func (b *Balancer) accept() {
	for {
		conn, err := b.listener.Accept()
		switch {
		case err == nil:
			b.running.Go(func() { b.forward(conn) })
		case errors.Is(err, net.ErrClosed):
			return
		default:
			b.log.Warn("balancer: accept a connection", "error", err)
			select {
			case <-time.After(acceptPause):
			case <-b.ctx.Done():
			}
		}
	}
}

// forward carries one connection until both directions have ended.
func (b *Balancer) forward(client net.Conn) {
	defer client.Close()
	if !b.track(client, "") {
		return
	}
	defer b.forget(client)
	backend, addr, err := b.dial()
	if err != nil {
		b.log.Debug("balancer: connect", "client", client.RemoteAddr(), "error", err)
		return
	}
	defer backend.Close()
	if !b.track(client, addr) || !b.track(backend, addr) {
		return
	}
	defer b.forget(backend)

	var answers sync.WaitGroup
	answers.Go(func() { pipe(client, backend) })
	pipe(backend, client)
	answers.Wait()
}

// pipe copies one direction and passes its end on: a half-closed connection stays open the other way. When the copy
// breaks, the other direction must not wait for a peer that is gone.
func pipe(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	if tcp, ok := to.(*net.TCPConn); ok {
		// It fails when the connection is closed already, which is what is wanted.
		_ = tcp.CloseWrite()
	}
}

// dial connects to the next backend that accepts a connection, and tries each one once.
func (b *Balancer) dial() (conn net.Conn, addr string, err error) {
	dialer := net.Dialer{Timeout: DialTimeout}
	errs := []error{errors.New("no backend accepts connections")}
	for _, addr := range b.order() {
		conn, err := dialer.DialContext(b.ctx, "tcp", addr)
		if err == nil {
			return conn, addr, nil
		}
		errs = append(errs, err)
	}
	return nil, "", errors.Join(errs...)
}

// order is the order in which to try the backends for one connection.
func (b *Balancer) order() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.backends) == 0 {
		return nil
	}
	first := b.next % len(b.backends)
	b.next = first + 1
	return slices.Concat(b.backends[first:], b.backends[:first])
}

// track keeps a connection to be closed with the balancer, or when its backend is left out. It says whether it may go on: its backend may have been left out while it was dialled.
func (b *Balancer) track(conn net.Conn, backend string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || backend != "" && !slices.Contains(b.backends, backend) {
		return false
	}
	b.conns[conn] = backend
	return true
}

func (b *Balancer) forget(conn net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, conn)
}
