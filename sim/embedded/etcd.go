package embedded

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/pki"
)

// EtcdEntry is the name under which [EtcdMain] must be given to [proc.Dispatch].
const EtcdEntry = "_etcd"

// EtcdReady is the line that an etcd member writes when it serves, which for one of several means that there is a leader.
const EtcdReady = "seatrial: etcd is ready"

// EtcdMain is the entry "_etcd": an etcd member. Its one argument is a configuration file as etcd's --config-file takes it.
func EtcdMain(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: _etcd CONFIG-FILE")
		return 2
	}
	if err := runEtcd(args[0]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runEtcd(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	config, err := embed.ConfigFromFile(file)
	if err != nil {
		return fmt.Errorf("read etcd configuration %q: %w", file, err)
	}
	server, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
		fmt.Println(EtcdReady)
	case err := <-server.Err():
		return fmt.Errorf("start etcd: %w", err)
	case <-ctx.Done():
		return nil
	}
	select {
	case err := <-server.Err():
		return fmt.Errorf("run etcd: %w", err)
	case <-server.Server.StopNotify():
		return fmt.Errorf("run etcd: the server stopped")
	case <-ctx.Done():
		return nil
	}
}

// The heartbeat of etcd in milliseconds; an election takes ten of them, and at most twice that.
const (
	heartbeat = 100 // etcd's default
	// aloneHeartbeat is for a member without others: it has nobody to hear from, and needs no second to elect itself.
	aloneHeartbeat = 10
)

// batchInterval is the time between two commits of etcd's database. With its default of 100 ms and thousands of writes in the same pages, they are written again and again.
const batchInterval = 500 * time.Millisecond

// writeEtcdConfig writes the member's configuration. What kubeadm sets is set as kubeadm does, but for five things:
//
// a member that is alone elects itself sooner, see [aloneHeartbeat].
//
// socket-options lets the member bind the port that is reserved for it.
//
// unsafe-no-fsync: the data is thrown away with the cluster, and cutting the power of a hollow node kills the process but not the
// machine, so that the page cache survives. A rehearsal of a whole machine's crash can't be had here with fsync either.
//
// listen-client-http-urls is a place of its own for what speaks HTTP, and nobody asks there. Where one port is for both, as with kubeadm, Go's HTTP server passes gRPC on. An upgrade of a hundred nodes took
// 500 s of processors' time in all before, with pods that ended 2 s later, and 409 s since, once each. https://etcd.io/docs/v3.6/op-guide/configuration/ The path is from the member's working directory, the node's folder.
//
// backend-batch-interval is [batchInterval]: what is not in the database after a crash comes from the log, as ever.
func (p *controlPlane) writeEtcdConfig(members []string) error {
	beat := heartbeat
	if len(members) == 1 {
		beat = aloneHeartbeat
	}
	file := func(name string) string { return p.pki("etcd/" + name) }
	url := func(port int) string { return "https://" + address(port) }
	config, err := yaml.Marshal(map[string]any{
		"name":                           p.node,
		"data-dir":                       p.etcdDir(),
		"listen-client-urls":             url(p.ports.etcdClient),
		"advertise-client-urls":          url(p.ports.etcdClient),
		"listen-client-http-urls":        "unix://etcd-http.sock",
		"listen-peer-urls":               p.peerURL(),
		"initial-advertise-peer-urls":    p.peerURL(),
		"initial-cluster":                strings.Join(members, ","),
		"initial-cluster-state":          "new",
		"snapshot-count":                 10000,
		"heartbeat-interval":             beat,
		"election-timeout":               10 * beat,
		"feature-gates":                  "InitialCorruptCheck=true",
		"watch-progress-notify-interval": 5 * time.Second,
		"client-transport-security": map[string]any{
			"cert-file": file("server.crt"), "key-file": file("server.key"),
			"trusted-ca-file": file("ca.crt"), "client-cert-auth": true,
		},
		"peer-transport-security": map[string]any{
			"cert-file": file("peer.crt"), "key-file": file("peer.key"),
			"trusted-ca-file": file("ca.crt"), "client-cert-auth": true,
		},
		"socket-options":         map[string]any{"reuse-port": true},
		"unsafe-no-fsync":        true,
		"backend-batch-interval": batchInterval,
		"logger":                 "zap",
		"log-outputs":            []string{"stderr"},
	})
	if err != nil {
		return fmt.Errorf("write etcd configuration: %w", err)
	}
	return os.WriteFile(p.etcdConfig(), config, 0o600)
}

// peers are the members as --initial-cluster takes them.
func (c *Cluster) peers() []string {
	var peers []string
	for _, p := range c.planes {
		peers = append(peers, p.node+"="+p.peerURL())
	}
	return peers
}

// EtcdMembers lists the members. The client is as the one that kubeadm makes for health checks, and lives longer than that may.
func (c *Cluster) EtcdMembers(context.Context) ([]cluster.EtcdMember, error) {
	var members []cluster.EtcdMember
	for _, p := range c.planes {
		config, err := c.etcdClient()
		if err != nil {
			return nil, fmt.Errorf("make client for etcd of node %q: %w", p.node, err)
		}
		members = append(members, cluster.EtcdMember{Node: p.node, Endpoint: "https://" + address(p.ports.etcdClient), TLS: config})
	}
	return members, nil
}

func (c *Cluster) etcdClient() (*tls.Config, error) {
	pair, err := c.ours().issue(etcdCA, pki.Subject{CommonName: "seatrial", Usages: pki.ClientUsage})
	if err != nil {
		return nil, err
	}
	return c.shared()[etcdCA].Client(pair)
}

// waitEtcd waits until the node's etcd member answers, which for one of several means that they have a leader.
func (p *controlPlane) waitEtcd(ctx context.Context) error {
	select {
	case <-p.etcdReady:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait until etcd %s answers: %w; last seen: a process that has not said so", p.node, context.Cause(ctx))
	}
}
