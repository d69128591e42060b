package etcd_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/etcd"
	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/test/etcdtest"
)

type members []cluster.EtcdMember

func (m members) EtcdMembers(context.Context) ([]cluster.EtcdMember, error) { return m, nil }

// start runs a member that may hold so many bytes. It also returns what ends it, which the test does at last.
func start(t *testing.T, quota int64) (cluster.EtcdMember, func()) {
	t.Helper()
	client, stop, err := etcdtest.Start(t.TempDir(), func(c *embed.Config) { c.QuotaBackendBytes = quota })
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(stop)
	return cluster.EtcdMember{Node: "cp-1", Endpoint: client.Endpoints()[0]}, stop
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
	_, err = asked.AwaitInStep(t.Context())
	g.Expect(err).To(MatchError("etcd/cp-1 has the alarm NOSPACE"), "it is not waited for")
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
	g.Expect(asked.Serves(t.Context(), "cp-2")).To(MatchError(ContainSubstring(`node "cp-2" has no member`)))
}

// startThree runs a cluster of three members that serve by TLS, and returns what ends each.
func startThree(t *testing.T) (all members, stop []func()) {
	t.Helper()
	g := NewWithT(t)
	var configs []*embed.Config
	var together []string
	for i := range 3 {
		config := embed.NewConfig()
		config.Name, config.Dir, config.LogLevel, config.UnsafeNoFsync = fmt.Sprintf("cp-%d", i+1), t.TempDir(), "panic", true
		config.ListenClientUrls, config.ClientAutoTLS, config.SelfSignedCertValidity = []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}, true, 1
		free, err := net.Listen("tcp", "127.0.0.1:0") // the others have to know it before it serves
		g.Expect(err).NotTo(HaveOccurred())
		config.ListenPeerUrls = []url.URL{{Scheme: "http", Host: free.Addr().String()}}
		config.AdvertisePeerUrls = config.ListenPeerUrls
		together = append(together, config.Name+"="+config.ListenPeerUrls[0].String())
		configs = append(configs, config)
		g.Expect(free.Close()).To(Succeed())
	}
	var servers []*embed.Etcd
	for _, config := range configs {
		config.InitialCluster = strings.Join(together, ",")
		server, err := embed.StartEtcd(config)
		g.Expect(err).NotTo(HaveOccurred())
		servers, stop = append(servers, server), append(stop, sync.OnceFunc(server.Close))
		t.Cleanup(stop[len(stop)-1])
	}
	for i, server := range servers {
		select {
		case <-server.Server.ReadyNotify():
		case <-time.After(30 * time.Second):
			t.Fatal("etcd is not ready within 30 s")
		}
		authority, err := os.ReadFile(server.Config().ClientTLSInfo.CertFile)
		g.Expect(err).NotTo(HaveOccurred())
		roots := x509.NewCertPool()
		g.Expect(roots.AppendCertsFromPEM(authority)).To(BeTrue())
		all = append(all, cluster.EtcdMember{Node: configs[i].Name, Endpoint: "https://" + server.Clients[0].Addr().String(), TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	}
	return all, stop
}

// TestHandOn: the member that leads hands the leadership on to the next node's, those that don't have nothing to do, and one alone can't.
func TestHandOn(t *testing.T) {
	g := NewWithT(t)
	found, stop := startThree(t)
	asked, err := etcd.Dial(t.Context(), found)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = asked.Close() })
	leads := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		said, err := asked.AwaitInStep(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		for _, s := range said {
			if s.ID == s.Leader {
				return s.Node
			}
		}
		return "a member that is none of them"
	}
	next := map[string]string{"cp-1": "cp-2", "cp-2": "cp-3", "cp-3": "cp-1"}
	first := leads()
	g.Expect(asked.HandOn(t.Context(), next[first])).To(BeEmpty(), "it does not lead")
	g.Expect(leads()).To(Equal(first))
	g.Expect(asked.HandOn(t.Context(), first)).To(Equal(next[first]))
	g.Expect(leads()).To(Equal(next[first]))
	_, err = asked.HandOn(t.Context(), "cp-4")
	g.Expect(err).To(MatchError(ContainSubstring(`node "cp-4" has no member`)))

	stop[2]()
	short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	said, err := asked.AwaitInStep(short)
	g.Expect(err).To(MatchError(ContainSubstring("ask etcd/cp-3")))
	g.Expect(said).To(HaveLen(2), "the others have said something")

	alone, _ := start(t, 0)
	one, err := etcd.Dial(t.Context(), members{alone})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = one.Close() })
	_, err = one.HandOn(t.Context(), "cp-1")
	g.Expect(err).To(MatchError("hand on the leadership of etcd/cp-1: there is no other member"))
}

// TestThree: three members are in step; one that nobody looks at is a stranger, whose alarm holds up the others too; and the last of them knows no leader.
func TestThree(t *testing.T) {
	g := NewWithT(t)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:9") // nobody is there: etcd is asked directly
	found, stop := startThree(t)
	asked, err := etcd.Dial(t.Context(), found)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = asked.Close() })
	var said []trace.EtcdData
	g.Eventually(func() error { said, err = asked.InStep(t.Context()); return err }).WithTimeout(30 * time.Second).Should(Succeed())
	g.Expect(said).To(HaveLen(3))
	g.Expect(said[0].Strangers).To(BeEmpty())
	g.Expect(asked.Serves(t.Context(), "cp-1")).To(Succeed())

	two, err := etcd.Dial(t.Context(), found[:2])
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = two.Close() })
	g.Expect(asked.RaiseNoSpace(t.Context(), "cp-3")).To(Succeed())
	said, err = two.InStep(t.Context())
	g.Expect(err).To(MatchError(And(
		ContainSubstring("etcd/cp-1 has members that no control plane runs: "), ContainSubstring(" cp-3"), ContainSubstring("etcd/cp-1 has the alarm NOSPACE of the member "),
	)))
	g.Expect(said[0].Strangers).To(HaveLen(1))

	stop[1]()
	stop[2]()
	g.Eventually(func() error { return asked.Serves(t.Context(), "cp-1") }).WithTimeout(30 * time.Second).Should(MatchError("etcd/cp-1 knows no leader"))
}

// TestNobodyToAsk: a cluster whose etcd can't be asked has no members.
func TestNobodyToAsk(t *testing.T) {
	g := NewWithT(t)
	var none *etcd.Members
	g.Expect(none.Nodes()).To(BeEmpty())
	g.Expect(none.Close()).To(Succeed())
}
