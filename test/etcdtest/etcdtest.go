// Package etcdtest runs an etcd of one member in the process of a test.
package etcdtest

import (
	"fmt"
	"net/url"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// readyTimeout is how long the member may take: it took half a second.
const readyTimeout = 30 * time.Second

// Start starts an etcd with its data in a folder, without TLS; change may configure it otherwise. The client's one endpoint is its address. stop ends both, and may be called again.
func Start(dir string, change ...func(*embed.Config)) (client *clientv3.Client, stop func(), err error) {
	config := embed.NewConfig()
	config.Dir, config.LogLevel, config.UnsafeNoFsync = dir, "fatal", true
	loopback := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenClientUrls, config.ListenPeerUrls = loopback, loopback
	for _, c := range change {
		c(config)
	}
	server, err := embed.StartEtcd(config)
	if err != nil {
		return nil, nil, err
	}
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(readyTimeout):
		server.Close()
		return nil, nil, fmt.Errorf("etcd does not serve after %s", readyTimeout)
	}
	endpoint := "http://" + server.Clients[0].Addr().String()
	client, err = clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		server.Close()
		return nil, nil, err
	}
	return client, sync.OnceFunc(func() { _ = client.Close(); server.Close() }), nil
}
