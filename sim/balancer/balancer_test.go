package balancer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/sim/balancer"
)

// backend answers each connection with its name and then echoes.
func backend(t *testing.T, name string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, name)
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// dead is an address that nobody listens on.
func dead(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}

func listen(t *testing.T, backends ...string) *balancer.Balancer {
	t.Helper()
	b, err := balancer.Listen(t.Context(), "127.0.0.1:0", backends)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// ask opens a connection, sends text, closes its sending half and returns the whole answer.
func ask(g Gomega, addr, text string) string {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	g.Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	g.Expect(conn.SetDeadline(time.Now().Add(5 * time.Second))).To(Succeed())
	_, err = io.WriteString(conn, text)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(conn.(*net.TCPConn).CloseWrite()).To(Succeed())
	answer, err := io.ReadAll(conn)
	g.Expect(err).NotTo(HaveOccurred())
	return string(answer)
}

func TestRoundRobin(t *testing.T) {
	g := NewWithT(t)
	b := listen(t, backend(t, "a"), backend(t, "b"))
	var answers []string
	for range 4 {
		answers = append(answers, ask(g, b.Addr(), "-hello"))
	}
	g.Expect(answers).To(Equal([]string{"a-hello", "b-hello", "a-hello", "b-hello"}))
}

func TestDeadBackendIsPassedOver(t *testing.T) {
	g := NewWithT(t)
	b := listen(t, dead(t), backend(t, "b"))
	for range 3 {
		g.Expect(ask(g, b.Addr(), "")).To(Equal("b"))
	}
}

func TestNoBackendClosesTheConnection(t *testing.T) {
	g := NewWithT(t)
	for _, b := range []*balancer.Balancer{listen(t), listen(t, dead(t))} {
		g.Expect(ask(g, b.Addr(), "")).To(BeEmpty())
	}
}

func TestSetBackends(t *testing.T) {
	g := NewWithT(t)
	b := listen(t, backend(t, "a"))
	g.Expect(ask(g, b.Addr(), "")).To(Equal("a"))
	b.SetBackends([]string{backend(t, "b")})
	g.Expect(ask(g, b.Addr(), "")).To(Equal("b"))
}

// TestLeftOut: a connection to a backend that is left out ends, and one to a backend that stays goes on.
func TestLeftOut(t *testing.T) {
	g := NewWithT(t)
	first, second := backend(t, "a"), backend(t, "b")
	b := listen(t, first, second)
	open := func(name string) net.Conn {
		conn, err := net.DialTimeout("tcp", b.Addr(), 5*time.Second)
		g.Expect(err).NotTo(HaveOccurred())
		t.Cleanup(func() { conn.Close() })
		g.Expect(conn.SetDeadline(time.Now().Add(5 * time.Second))).To(Succeed())
		answer := make([]byte, 1)
		_, err = io.ReadFull(conn, answer)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(answer)).To(Equal(name))
		return conn
	}
	toFirst, toSecond := open("a"), open("b")
	b.SetBackends([]string{second})
	_, err := io.ReadAll(toFirst)
	g.Expect(errors.Is(err, os.ErrDeadlineExceeded)).To(BeFalse(), "it ends at once")
	_, err = io.WriteString(toSecond, "!")
	g.Expect(err).NotTo(HaveOccurred())
	answer := make([]byte, 1)
	_, err = io.ReadFull(toSecond, answer)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(answer)).To(Equal("!"))
}

func TestCloseClosesConnections(t *testing.T) {
	for name, end := range map[string]func(*balancer.Balancer, context.CancelFunc){
		"close":   func(b *balancer.Balancer, _ context.CancelFunc) { b.Close() },
		"context": func(_ *balancer.Balancer, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			b, err := balancer.Listen(ctx, "127.0.0.1:0", []string{backend(t, "a")})
			g.Expect(err).NotTo(HaveOccurred())
			conn, err := net.DialTimeout("tcp", b.Addr(), 5*time.Second)
			g.Expect(err).NotTo(HaveOccurred())
			defer conn.Close()
			g.Expect(conn.SetDeadline(time.Now().Add(5 * time.Second))).To(Succeed())
			_, err = io.ReadFull(conn, make([]byte, 1))
			g.Expect(err).NotTo(HaveOccurred())

			end(b, cancel)
			rest, err := io.ReadAll(conn)
			g.Expect(rest).To(BeEmpty())
			var netErr net.Error
			if errors.As(err, &netErr) {
				g.Expect(netErr.Timeout()).To(BeFalse(), "the connection is open")
			}
			g.Expect(b.Close()).To(Succeed(), "closing again")
			_, err = net.DialTimeout("tcp", b.Addr(), time.Second)
			g.Expect(err).To(HaveOccurred())
		})
	}
}

func TestListenNamesTheAddress(t *testing.T) {
	g := NewWithT(t)
	_, err := balancer.Listen(t.Context(), listen(t).Addr(), nil)
	g.Expect(err).To(MatchError(ContainSubstring("listen on")))
}
