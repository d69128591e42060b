package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

// asProgram in the environment of this test's binary makes it the program.
const asProgram = "SIM_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program is the program with these variables, not started yet.
func program(t *testing.T, stderr io.Writer, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self)
	c.Env, c.Stderr = append(env, asProgram+"=1"), stderr
	return c
}

// unused is a port that nobody listens on.
func unused(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func from(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
		want behaviour
	}{
		{name: "nothing", want: behaviour{exitAfter: never, shutdown: never, port: "8080"}},
		{name: "slow, late, orderly", env: map[string]string{"SIM_STARTUP": "1m30s", "SIM_READY": "3s", "SIM_SHUTDOWN": "0s", "SIM_PORT": "5432"},
			want: behaviour{startup: 90 * time.Second, ready: 3 * time.Second, exitAfter: never, port: "5432"}},
		{name: "never ready", env: map[string]string{"SIM_READY": "never"}, want: behaviour{ready: never, exitAfter: never, shutdown: never, port: "8080"}},
		{name: "exits", env: map[string]string{"SIM_EXIT_AFTER": "5s", "SIM_EXIT_CODE": "255", "SIM_CRASH_LOOP": "false"},
			want: behaviour{exitAfter: 5 * time.Second, exitCode: 255, shutdown: never, port: "8080"}},
		{name: "crash loop", env: map[string]string{"SIM_CRASH_LOOP": "true", "SIM_READY": "1s"},
			want: behaviour{ready: never, exitAfter: time.Second, exitCode: 1, shutdown: never, port: "8080"}},
		{name: "crash loop of its own kind", env: map[string]string{"SIM_CRASH_LOOP": "true", "SIM_EXIT_AFTER": "2s", "SIM_EXIT_CODE": "0"},
			want: behaviour{ready: never, exitAfter: 2 * time.Second, shutdown: never, port: "8080"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := NewWithT(t)
			got, err := read(from(test.env))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got).To(Equal(test.want))
		})
	}
}

// TestReadWrong has a value for each variable that package hollow refuses in the annotation, too.
func TestReadWrong(t *testing.T) {
	for name, values := range map[string][]string{
		"SIM_STARTUP":    {"5", "-1s", "never", "soon"},
		"SIM_READY":      {"5", "-1s", "Never"},
		"SIM_CRASH_LOOP": {"yes", "True", "1"},
		"SIM_EXIT_AFTER": {"0s", "-1ns", "never"},
		"SIM_EXIT_CODE":  {"256", "-1", "1.5", "one", "1"}, // 1 is of use with SIM_EXIT_AFTER only
		"SIM_SHUTDOWN":   {"3", "-1s", "never"},
		"SIM_PORT":       {"0", "65536", "http", "-1"},
	} {
		for _, value := range values {
			_, err := read(from(map[string]string{name: value}))
			NewWithT(t).Expect(err).To(MatchError(HavePrefix(fmt.Sprintf("%s=%q: want ", name, value))))
		}
	}
}

func TestReadNamesAllThatIsWrong(t *testing.T) {
	g := NewWithT(t)
	_, err := read(from(map[string]string{
		"SIM_STARTUP": "soon", "SIM_READY": "later", "SIM_CRASH_LOOP": "often", "SIM_EXIT_AFTER": "0s", "SIM_EXIT_CODE": "256", "SIM_SHUTDOWN": "3", "SIM_PORT": "http",
	}))
	g.Expect(err).To(HaveOccurred())
	g.Expect(strings.Split(err.Error(), "\n")).To(ConsistOf(
		`SIM_STARTUP="soon": want a duration like 5s`,
		`SIM_READY="later": want a duration like 5s, or never`,
		`SIM_CRASH_LOOP="often": want true or false`,
		`SIM_EXIT_AFTER="0s": want a duration like 5s, over zero`,
		`SIM_EXIT_CODE="256": want a number from 0 to 255`,
		`SIM_SHUTDOWN="3": want a duration like 5s`,
		`SIM_PORT="http": want a number from 1 to 65535`,
	))
}

// memory is a listener inside this process: with it everything that a server waits for is in the bubble of synctest, whose clock jumps.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemory() *memory { return &memory{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (m *memory) Addr() net.Addr { return &net.TCPAddr{} }

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case conn := <-m.conns:
		return conn, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case m.conns <- theirs:
		return ours, nil
	case <-m.closed:
		return nil, errors.New("refused")
	}
}

// get is the status of a path, 0 when nobody listens.
func (m *memory) get(path string) int {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: m.dial}}
	response, err := client.Get("http://workload" + path)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// serving is a workload that serves, in the bubble of a test. How it ended is there once ended is closed.
type serving struct {
	*memory
	began time.Time
	stop  chan os.Signal
	ended chan struct{}
	code  int
	err   error
	took  time.Duration
}

// serve begins to serve.
func serve(b behaviour) *serving {
	s := &serving{memory: newMemory(), began: time.Now(), stop: make(chan os.Signal, 1), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.code, s.err = b.serve(s.memory, s.stop)
		s.took = time.Since(s.began)
	}()
	synctest.Wait()
	return s
}

// at lets the clock be so long after the beginning.
func (s *serving) at(d time.Duration) {
	time.Sleep(time.Until(s.began.Add(d)))
	synctest.Wait()
}

// moment is the shortest time that these tests look at.
const moment = time.Millisecond

func TestReadyLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		s := serve(behaviour{ready: 3 * time.Second, exitAfter: never})
		g.Expect(s.get("/readyz")).To(Equal(http.StatusServiceUnavailable))
		g.Expect(s.get("/")).To(Equal(http.StatusOK), "it serves before it says that it is ready")
		s.at(3*time.Second - moment)
		g.Expect(s.get("/readyz")).To(Equal(http.StatusServiceUnavailable))
		s.at(3 * time.Second)
		g.Expect(s.get("/readyz")).To(Equal(http.StatusOK))
		s.stop <- syscall.SIGTERM
		<-s.ended
	})
}

func TestNeverReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		s := serve(behaviour{ready: never, exitAfter: never})
		s.at(1000 * time.Hour)
		g.Expect(s.get("/readyz")).To(Equal(http.StatusServiceUnavailable))
		g.Expect(s.get("/")).To(Equal(http.StatusOK))
		s.stop <- syscall.SIGTERM
		<-s.ended
	})
}

func TestExitsByItself(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"crash loop":     {"SIM_CRASH_LOOP": "true", "SIM_EXIT_AFTER": "5s"},
		"exit with code": {"SIM_EXIT_AFTER": "5s", "SIM_EXIT_CODE": "1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				b, err := read(from(env))
				g.Expect(err).NotTo(HaveOccurred())
				s := serve(b)
				s.at(5*time.Second - moment)
				g.Expect(s.get("/")).To(Equal(http.StatusOK))
				<-s.ended
				g.Expect(s.err).NotTo(HaveOccurred())
				g.Expect(s.code).To(Equal(1))
				g.Expect(s.took).To(Equal(5 * time.Second))
				g.Expect(s.get("/")).To(BeZero(), "it still listens")
			})
		})
	}
}

// TestServesOn sends SIGTERM while endpoints still lead to the pod.
func TestServesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		s := serve(behaviour{shutdown: 2 * time.Second, exitAfter: time.Hour, exitCode: 3})
		s.at(10 * time.Second)
		s.stop <- syscall.SIGTERM
		s.at(12*time.Second - moment)
		g.Expect(s.get("/")).To(Equal(http.StatusOK))
		g.Expect(s.get("/readyz")).To(Equal(http.StatusOK), "readiness is not what takes a pod out of its Services then")
		<-s.ended
		g.Expect(s.err).NotTo(HaveOccurred())
		g.Expect(s.code).To(BeZero(), "it was told to stop: what it exits with by itself does not count")
		g.Expect(s.took).To(Equal(12 * time.Second))
		g.Expect(s.get("/")).To(BeZero(), "it still listens")
	})
}

// TestIgnoresTheSignal has what a kubelet would have to kill: here it ends by itself at last.
func TestIgnoresTheSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		s := serve(behaviour{shutdown: never, exitAfter: time.Hour, exitCode: 3})
		s.stop <- syscall.SIGTERM
		s.at(time.Hour - moment)
		g.Expect(s.get("/")).To(Equal(http.StatusOK))
		<-s.ended
		g.Expect(s.err).NotTo(HaveOccurred())
		g.Expect(s.code).To(Equal(3))
		g.Expect(s.took).To(Equal(time.Hour))
	})
}

// TestStopsUnderAConnection has a client that never asks anything.
func TestStopsUnderAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		s := serve(behaviour{exitAfter: never})
		conn, err := s.dial(t.Context(), "", "")
		g.Expect(err).NotTo(HaveOccurred())
		synctest.Wait()
		s.stop <- syscall.SIGTERM
		<-s.ended
		g.Expect(s.err).NotTo(HaveOccurred())
		g.Expect(s.code).To(BeZero())
		g.Expect(s.took).To(BeNumerically("<=", time.Second))
		_, err = conn.Read(make([]byte, 1))
		g.Expect(err).To(MatchError(io.EOF), "the connection is still there")
	})
}

func TestFailsWithItsListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		s := serve(behaviour{exitAfter: never})
		s.Close()
		<-s.ended
		g.Expect(s.err).To(MatchError(net.ErrClosed))
		g.Expect(s.code).To(Equal(1))
	})
}

// TestStartsLate takes the time of the machine, as it listens for real.
func TestStartsLate(t *testing.T) {
	g := NewWithT(t)
	b := behaviour{startup: 100 * time.Millisecond, exitAfter: never, port: unused(t)}
	stop, ended := make(chan os.Signal, 1), make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := b.run(stop)
		ended <- err
	}()
	g.Eventually(func() error {
		_, err := ask("127.0.0.1:"+b.port, time.Second)
		return err
	}, "10s", "5ms").Should(Succeed())
	g.Expect(time.Since(began)).To(BeNumerically(">=", b.startup))
	stop <- syscall.SIGTERM
	g.Eventually(ended, "10s").Should(Receive(BeNil()))
}

func TestStoppedWhileItStarts(t *testing.T) {
	g := NewWithT(t)
	b := behaviour{startup: time.Hour, exitAfter: time.Second, exitCode: 3, shutdown: never, port: unused(t)}
	stop := make(chan os.Signal, 1)
	stop <- syscall.SIGTERM
	code, err := b.run(stop) // it would listen and exit with 3 if it did not look at the signal
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(code).To(BeZero())
}

func TestPortTaken(t *testing.T) {
	g := NewWithT(t)
	listener, err := net.Listen("tcp", ":0")
	g.Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	g.Expect(err).NotTo(HaveOccurred())
	code, err := behaviour{exitAfter: never, port: port}.run(nil)
	g.Expect(err).To(MatchError(syscall.EADDRINUSE))
	g.Expect(code).To(Equal(1))
}

// TestProgram runs the program itself: variables, signal and exit status.
func TestProgram(t *testing.T) {
	for _, test := range []struct {
		name   string
		env    []string
		stop   bool
		code   int
		stderr string
	}{
		{name: "told to stop", env: []string{"SIM_SHUTDOWN=0s"}, stop: true},
		{name: "exits by itself", env: []string{"SIM_EXIT_AFTER=1ms", "SIM_EXIT_CODE=7"}, code: 7},
		{name: "crash loop", env: []string{"SIM_CRASH_LOOP=true", "SIM_EXIT_AFTER=1ms"}, code: 1},
		{name: "wrong values", env: []string{"SIM_READY=soon", "SIM_EXIT_AFTER=0s", "SIM_EXIT_CODE=0"}, code: 1,
			stderr: "workload: SIM_READY=\"soon\": want a duration like 5s, or never\nSIM_EXIT_AFTER=\"0s\": want a duration like 5s, over zero\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := NewWithT(t)
			port := unused(t)
			var stderr bytes.Buffer
			c := program(t, &stderr, append(test.env, "SIM_PORT="+port)...)
			g.Expect(c.Start()).To(Succeed())
			if test.stop {
				g.Eventually(func() error {
					_, err := ask("127.0.0.1:"+port, time.Second)
					return err
				}, "10s", "5ms").Should(Succeed())
				g.Expect(c.Process.Signal(syscall.SIGTERM)).To(Succeed())
			}
			err := c.Wait()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			g.Expect(c.ProcessState.ExitCode()).To(Equal(test.code), stderr.String())
			g.Expect(stderr.String()).To(Equal(test.stderr))
		})
	}
}
