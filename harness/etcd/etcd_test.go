package etcd_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/etcd"
)

type members []cluster.EtcdMember

func (m members) EtcdMembers(context.Context) ([]cluster.EtcdMember, error) { return m, nil }

// start runs a member that may hold so many bytes. It also returns what ends it, which the test does at last.
func start(t *testing.T, quota int64) (cluster.EtcdMember, func()) {
	t.Helper()
	config := embed.NewConfig()
	config.Dir, config.LogLevel, config.QuotaBackendBytes, config.UnsafeNoFsync = t.TempDir(), "error", quota, true
	loopback := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenClientUrls, config.ListenPeerUrls = loopback, loopback
	server, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(server.Close)
	t.Cleanup(stop)
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(30 * time.Second):
		t.Fatal("etcd is not ready within 30 s")
	}
	return cluster.EtcdMember{Node: "cp-1", Endpoint: "http://" + server.Clients[0].Addr().String()}, stop
}

// TestAlarm: a member that serves is in step; one whose space is used up has an alarm, and is named; one that is gone does not answer.
func TestAlarm(t *testing.T) {
	g := NewWithT(t)
	member, stop := start(t, 1<<20)
	asked, err := etcd.Dial(t.Context(), members{member})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = asked.Close() })
	g.Expect(asked.Nodes()).To(Equal([]string{"cp-1"}))

	said, err := asked.InStep(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(said).To(HaveLen(1))
	g.Expect(said[0].Leader).To(Equal(said[0].ID), "it follows itself")
	g.Expect(said[0].Alarms).To(BeEmpty())

	g.Expect(asked.RaiseNoSpace(t.Context(), "cp-1")).To(Succeed())
	_, err = asked.InStep(t.Context())
	g.Expect(err).To(MatchError("etcd/cp-1 has the alarm NOSPACE"))
	g.Expect(asked.DisarmNoSpace(t.Context(), "cp-1")).To(Succeed())
	_, err = asked.InStep(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(asked.RaiseNoSpace(t.Context(), "cp-2")).To(MatchError(ContainSubstring(`node "cp-2" has no member`)))

	client, err := clientv3.New(clientv3.Config{Endpoints: []string{member.Endpoint}})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = client.Close() })
	value := strings.Repeat("x", 256<<10)
	g.Eventually(func() error { _, err := client.Put(t.Context(), "key", value); return err }).WithTimeout(30 * time.Second).Should(MatchError(ContainSubstring("database space exceeded")))

	said, err = asked.InStep(t.Context())
	var alarm *etcd.AlarmError
	g.Expect(errors.As(err, &alarm)).To(BeTrue(), "%v", err)
	g.Expect(err).To(MatchError("etcd/cp-1 has the alarm NOSPACE"))
	g.Expect(said[0].Alarms).To(Equal([]string{"NOSPACE"}))

	stop()
	_, err = asked.InStep(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("ask etcd/cp-1")))
	_, err = asked.Status(t.Context(), "cp-2")
	g.Expect(err).To(MatchError(ContainSubstring(`node "cp-2" has no member`)))
}

// TestNobodyToAsk: a cluster whose etcd can't be asked has no members.
func TestNobodyToAsk(t *testing.T) {
	g := NewWithT(t)
	var none *etcd.Members
	g.Expect(none.Nodes()).To(BeEmpty())
	g.Expect(none.Close()).To(Succeed())
}
