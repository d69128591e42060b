package backup_test

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/sim/pki"
	"github.com/seatrial/seatrial/test/etcdtest"
)

// TestWrongCertificates: an etcd that takes clients of its authority alone gives a snapshot to one of them. To another it is said what is wrong, on whichever side.
func TestWrongCertificates(t *testing.T) {
	g := NewWithT(t)
	authority := func(name string) *pki.Authority {
		a, err := pki.NewAuthority(name, time.Now(), time.Hour)
		g.Expect(err).NotTo(HaveOccurred())
		return a
	}
	ours, theirs := authority("ours"), authority("theirs")
	issue := func(by *pki.Authority) pki.Pair {
		pair, err := by.Issue(pki.Subject{CommonName: "root", Usages: pki.BothUsages, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Now(), time.Hour)
		g.Expect(err).NotTo(HaveOccurred())
		return pair
	}
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		g.Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
		return path
	}
	server := issue(ours)
	plain, stop, err := etcdtest.Start(filepath.Join(dir, "data"), func(c *embed.Config) {
		c.ListenClientUrls = []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
		c.ClientTLSInfo = transport.TLSInfo{
			CertFile: file("server.crt", server.Cert), KeyFile: file("server.key", server.Key), TrustedCAFile: file("ca.crt", ours.Cert), ClientCertAuth: true,
		}
	})
	g.Expect(err).NotTo(HaveOccurred())
	defer stop()
	endpoint := strings.Replace(plain.Endpoints()[0], "http:", "https:", 1)
	choose := func(trusts *pki.Authority, pair pki.Pair) error {
		config, err := trusts.Client(pair)
		g.Expect(err).NotTo(HaveOccurred())
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, TLS: config, Logger: zap.NewNop()})
		g.Expect(err).NotTo(HaveOccurred())
		defer client.Close()
		_, err = backup.Choose(t.Context(), []backup.Member{{Endpoint: endpoint, Client: client, TLS: config}}, "")
		return err
	}
	g.Expect(choose(ours, issue(ours))).To(Succeed())
	g.Expect(choose(ours, issue(theirs))).To(MatchError(And(ContainSubstring(endpoint+" does not answer"), MatchRegexp("tls: (certificate required|unknown certificate authority|bad certificate)"))))
	g.Expect(choose(theirs, issue(ours))).To(MatchError(And(ContainSubstring(endpoint+" does not answer"), ContainSubstring("certificate signed by unknown authority"))))
}
