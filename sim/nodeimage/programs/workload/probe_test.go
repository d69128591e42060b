package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// site answers as the handler does. It returns its address.
func site(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// raw writes the text to whoever connects, and closes.
func raw(t *testing.T, text string) string {
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
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_, _ = io.WriteString(conn, text)
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

func TestAsk(t *testing.T) {
	status := func(code int) func(*testing.T) string {
		return func(t *testing.T) string {
			return site(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
		}
	}
	for _, test := range []struct {
		name    string
		address func(*testing.T) string
		timeout time.Duration
		pod     string
		err     string // "" means an answer
	}{
		{name: "a workload", address: func(t *testing.T) string {
			return site(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(podHeader, "web-1") })
		}, pod: "web-1"},
		{name: "something else that speaks HTTP", address: status(http.StatusOK)},
		{name: "not found is an answer", address: status(http.StatusNotFound)},
		{name: "redirects are not followed", address: func(t *testing.T) string {
			return site(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(podHeader, "web-2")
				http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
			})
		}, pod: "web-2"},
		{name: "a server error is none", address: status(http.StatusServiceUnavailable), err: "answered 503 Service Unavailable"},
		{name: "what is not HTTP is an answer", address: func(t *testing.T) string { return raw(t, "SSH-2.0-OpenSSH_9.2\r\n") }},
		{name: "closed without a word", address: func(t *testing.T) string { return raw(t, "") }, err: "EOF"},
		{name: "cut off", address: func(t *testing.T) string { return raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") }, err: "unexpected EOF"},
		{name: "refused", address: func(t *testing.T) string { return "127.0.0.1:" + unused(t) }, err: "connection refused"},
		{name: "too late", address: func(t *testing.T) string {
			return site(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		}, timeout: 20 * time.Millisecond, err: "no answer within 20ms"},
		{name: "no address", address: func(*testing.T) string { return "10.96.0.12:http:80" }, err: "invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := NewWithT(t)
			if test.timeout == 0 {
				test.timeout = 10 * time.Second
			}
			pod, err := ask(test.address(t), test.timeout)
			if test.err == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(test.err)))
			}
			g.Expect(pod).To(Equal(test.pod))
		})
	}
}

// TestProbeOutOfOrder has a question that is answered only when the one after it has been.
func TestProbeOutOfOrder(t *testing.T) {
	g := NewWithT(t)
	hold := make(chan struct{})
	slow := site(t, func(w http.ResponseWriter, _ *http.Request) {
		<-hold
		w.Header().Set(podHeader, "slow")
	})
	fast := site(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(podHeader, "fast") })
	in, questions := io.Pipe()
	answers, out := io.Pipe()
	go func() {
		probe(in, out)
		out.Close()
	}()
	lines := bufio.NewScanner(answers)
	_, err := fmt.Fprintf(questions, `{"id":1,"address":%q,"timeout":60000}`+"\n"+`{"id":2,"address":%q,"timeout":60000}`+"\n", slow, fast)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(lines.Scan()).To(BeTrue())
	g.Expect(lines.Text()).To(Equal(`{"id":2,"pod":"fast"}`))
	questions.Close() // what was asked is answered all the same
	close(hold)
	g.Expect(lines.Scan()).To(BeTrue())
	g.Expect(lines.Text()).To(Equal(`{"id":1,"pod":"slow"}`))
	g.Expect(lines.Scan()).To(BeFalse())
}

func TestProbeSaysWhyNot(t *testing.T) {
	g := NewWithT(t)
	var out strings.Builder
	probe(strings.NewReader("no question\n"+`{"id":7,"address":"127.0.0.1:`+unused(t)+`","timeout":10000}`+"\n"), &out)
	g.Expect(out.String()).To(MatchRegexp(`^\{"id":7,"error":".*connection refused"\}\n$`))
}

// TestProbeConnectsAnew holds what a Service needs to choose an endpoint for each request.
func TestProbeConnectsAnew(t *testing.T) {
	g := NewWithT(t)
	var connections, closed atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	for range 3 {
		_, err := ask(s.Listener.Addr().String(), 10*time.Second)
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(connections.Load()).To(BeEquivalentTo(3))
	g.Eventually(closed.Load, "10s", "5ms").Should(BeEquivalentTo(3), "connections are kept that nobody uses again")
}
