package kind

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/pki"
)

// EtcdMembers lists the members, which listen on their nodes' addresses in the cluster's network. The client is the one that kubeadm makes for health checks; its key is read from
// the node, is held in memory only, and no recorded command prints it.
func (c *Cluster) EtcdMembers(ctx context.Context) ([]cluster.EtcdMember, error) {
	var members []cluster.EtcdMember
	for _, m := range c.controlPlanes() {
		config, err := c.etcdClient(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("make client for etcd of node %q: %w", m.node, err)
		}
		members = append(members, cluster.EtcdMember{Node: m.node, Endpoint: "https://" + net.JoinHostPort(c.addresses[m.node], "2379"), TLS: config})
	}
	return members, nil
}

func (c *Cluster) etcdClient(ctx context.Context, m machine) (*tls.Config, error) {
	if c.spec.Certificates.Validity > 0 {
		return c.ourEtcdClient(ctx)
	}
	pem, err := c.read(ctx, m, "/etc/kubernetes/pki/etcd", "ca.crt", "healthcheck-client.crt", "healthcheck-client.key")
	if err != nil {
		return nil, err
	}
	authority, err := pki.ParseAuthority(pki.Pair{Cert: pem["ca.crt"]})
	if err != nil {
		return nil, err
	}
	return authority.Client(pki.Pair{Cert: pem["healthcheck-client.crt"], Key: pem["healthcheck-client.key"]})
}
