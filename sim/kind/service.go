package kind

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/proc"
)

const (
	// proberPath is the workload program on a node, which also asks (sim/nodeimage/programs/workload).
	proberPath = "/usr/local/bin/seatrial-workload"
	// requestTimeout bounds a request whose context has no deadline.
	requestTimeout = 10 * time.Second
)

// services asks the services of a cluster from one of its nodes, where kube-proxy's rules send each request to an endpoint as they do a pod's.
type services struct {
	cluster *Cluster

	mu        sync.Mutex
	addresses map[cluster.ServicePort]string // cluster IP and port
	doubted   map[cluster.ServicePort]bool   // a request to it failed: it may be another service by now
	prober    *prober                        // nil before the first request
}

// Request makes one request to a Service's port.
func (c *Cluster) Request(ctx context.Context, port cluster.ServicePort) (string, error) {
	pod, err := c.services.request(ctx, port)
	if err != nil {
		return "", fmt.Errorf("request to service \"%s/%s\" port %d: %w", port.Namespace, port.Name, port.Port, err)
	}
	return pod, nil
}

// errProber says that the one who asks has ended, which says nothing about the service.
var errProber = errors.New("the prober has ended with its node")

func (s *services) request(ctx context.Context, port cluster.ServicePort) (string, error) {
	address, err := s.address(ctx, port)
	if err != nil {
		return "", err
	}
	pod, err := s.ask(ctx, address)
	if errors.Is(err, errProber) {
		pod, err = s.ask(ctx, address) // from another node
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubted[port] = err != nil
	return pod, err
}

func (s *services) ask(ctx context.Context, address string) (string, error) {
	p, err := s.running(ctx)
	if err != nil {
		return "", err
	}
	return p.ask(ctx, address)
}

// lookUpTimeout is what looking up a known address anew may take of a request's time.
const lookUpTimeout = 200 * time.Millisecond

// address is the cluster IP and port of a service. It is remembered, so that a request needs no API server, as a client's does not; after a request that failed
// it is looked up anew, and when nobody answers the known one is still the best.
func (s *services) address(ctx context.Context, port cluster.ServicePort) (string, error) {
	s.mu.Lock()
	known, doubted := s.addresses[port], s.doubted[port]
	s.mu.Unlock()
	switch {
	case known == "":
		return s.lookUp(ctx, port)
	case doubted:
		ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
		defer cancel()
		if fresh, err := s.lookUp(ctx, port); err == nil {
			return fresh, nil
		}
	}
	return known, nil
}

// lookUp asks the API for the address, and remembers it.
func (s *services) lookUp(ctx context.Context, port cluster.ServicePort) (string, error) {
	service, err := s.cluster.client.CoreV1().Services(port.Namespace).Get(ctx, port.Name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if service.Spec.ClusterIP == "" || service.Spec.ClusterIP == corev1.ClusterIPNone {
		return "", errors.New("the service has no cluster IP")
	}
	if !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port.Port && p.Protocol != corev1.ProtocolUDP }) {
		return "", errors.New("the service has no such port")
	}
	address := net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(int(port.Port)))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses[port] = address
	return address, nil
}

// running is the prober, started on the first node that has power when there is none or its node has lost it.
func (s *services) running(ctx context.Context) (*prober, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prober != nil && s.prober.alive() {
		return s.prober, nil
	}
	m, err := s.cluster.firstOn()
	if err != nil {
		return nil, err
	}
	s.prober, err = startProber(ctx, s.cluster, m)
	return s.prober, err
}

func (s *services) close(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prober != nil {
		s.prober.close(ctx)
	}
}

// prober is the workload program as a client on a node. Its lines are questions and answers, see there.
type prober struct {
	process *proc.Process
	in      *io.PipeWriter
	lines   chan []byte // what is to be written to in

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
}

type question struct {
	ID      int    `json:"id"`
	Address string `json:"address"`
	Timeout int    `json:"timeout"` // milliseconds
}

type answer struct {
	ID    int    `json:"id"`
	Pod   string `json:"pod"`
	Error string `json:"error"`
}

func startProber(ctx context.Context, c *Cluster, m machine) (*prober, error) {
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	p := &prober{in: in, lines: make(chan []byte), waiting: map[int]chan answer{}}
	process, err := c.options.Supervisor.Start(ctx, proc.Command{
		Name: "prober on " + m.node, Path: c.engine.Path, Args: []string{"exec", "--interactive", m.container, proberPath, "probe"},
		Env: c.engine.Environment(), Stdin: stdin, Stdout: stdout,
	})
	if err != nil {
		return nil, err
	}
	p.process = process
	go func() { <-process.Done(); stdout.Close(); stdin.Close() }() // ends read and write
	go p.read(out)
	go p.write()
	return p, nil
}

// write writes the questions, until the prober has ended.
func (p *prober) write() {
	for {
		select {
		case line := <-p.lines:
			if _, err := p.in.Write(line); err != nil {
				return
			}
		case <-p.process.Done():
			return
		}
	}
}

// read gives the answers to those who wait for them, until the prober has ended.
func (p *prober) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var a answer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			continue // whoever waits for it times out
		}
		p.mu.Lock()
		if waiter, ok := p.waiting[a.ID]; ok {
			waiter <- a
			delete(p.waiting, a.ID)
		}
		p.mu.Unlock()
	}
	p.in.Close() // who can't be heard is not asked: it ends with its stdin
}

func (p *prober) alive() bool {
	select {
	case <-p.process.Done():
		return false
	default:
		return true
	}
}

// ask asks one question, and gives up when the context ends.
func (p *prober) ask(ctx context.Context, address string) (string, error) {
	timeout := requestTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = time.Until(deadline)
	}
	waiter := make(chan answer, 1)
	p.mu.Lock()
	p.next++
	q := question{ID: p.next, Address: address, Timeout: int(timeout.Milliseconds())}
	p.waiting[q.ID] = waiter
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiting, q.ID)
	}()
	line, err := json.Marshal(q)
	if err != nil {
		return "", err
	}
	select {
	case p.lines <- append(line, '\n'):
	case <-p.process.Done():
		return "", errors.Join(errProber, p.process.Err())
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case a := <-waiter:
		if a.Error != "" {
			return "", errors.New(a.Error)
		}
		return a.Pod, nil
	case <-p.process.Done():
		return "", errors.Join(errProber, p.process.Err())
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// close ends the prober, which ends with its stdin.
func (p *prober) close(ctx context.Context) {
	p.in.Close()
	_ = p.process.Stop(ctx, 0) // it has nothing to lose
}
