package backup

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seatrial/seatrial/test/etcdtest"
)

// start runs an etcd of one member.
func start(t *testing.T) Member {
	t.Helper()
	client, stop, err := etcdtest.Start(t.TempDir())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(stop)
	return Member{Endpoint: client.Endpoints()[0], Client: client}
}

// protobuf is an object as an API server stores it.
func protobuf(t *testing.T, apiVersion, kind string, o interface{ Marshal() ([]byte, error) }) string {
	t.Helper()
	raw, err := o.Marshal()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	unknown, err := (&runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}, Raw: raw}).Marshal()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(protobufMagic) + string(unknown)
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name), Annotations: map[string]string{"note": "one"}}
}

// content is a small cluster, by key.
func content(t *testing.T) map[string]string {
	return map[string]string{
		"/registry/deployments/production/web": protobuf(t, "apps/v1", "Deployment", &appsv1.Deployment{ObjectMeta: meta("production", "web")}),
		"/registry/deployments/production/db":  protobuf(t, "apps/v1", "Deployment", &appsv1.Deployment{ObjectMeta: meta("production", "db")}),
		"/registry/minions/worker-1":           protobuf(t, "v1", "Node", &corev1.Node{ObjectMeta: meta("", "worker-1")}),
		"/registry/services/specs/default/web": protobuf(t, "v1", "Service", &corev1.Service{ObjectMeta: meta("default", "web")}),
		"/registry/example.com/ships/sea/one":  `{"apiVersion":"example.com/v1","kind":"Ship","metadata":{"name":"one","namespace":"sea","uid":"uid-of-one"},"spec":{"Name":"no"}}`,
		"/registry/secrets/production/key":     "k8s:enc:aescbc:v1:key1:\x8f\x00\x01",
		"/registry/ranges/serviceips":          protobuf(t, "v1", "RangeAllocation", &corev1.RangeAllocation{Range: "10.96.0.0/16"}),
		"/registry/events/production/web.1":    protobuf(t, "v1", "Event", &corev1.Event{ObjectMeta: meta("production", "web.1")}),
		"compact_rev_key":                      "17",
		"/calico/ipam":                         "pool",
	}
}

func put(t *testing.T, m Member, all map[string]string) {
	t.Helper()
	for key, value := range all { // in any order
		_, err := m.Client.Put(t.Context(), key, value)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	}
}

func taken(t *testing.T, m Member) (string, *Manifest) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot.db")
	manifest, err := Take(t.Context(), m, path, func() time.Time { return time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) })
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return path, manifest
}

// TestDigest: what is in an etcd is named as the API names it, and two that hold the same have the same digest, whatever the way there.
func TestDigest(t *testing.T) {
	g := NewWithT(t)
	one := start(t)
	put(t, one, content(t))
	_, manifest := taken(t, one)

	resources := manifest.Digest.Resources
	g.Expect(resources).To(And(HaveLen(9), HaveKey("deployments.apps"), HaveKey("nodes"), HaveKey("services"), HaveKey("ships.example.com"), HaveKey("secrets"),
		HaveKey("ranges"), HaveKey("events"), HaveKey(compactor), HaveKey(foreign)))
	g.Expect(*resources["deployments.apps"]).To(And(HaveField("Objects", 2), HaveField("Opaque", 0), HaveField("Namespaces", Equal(map[string]int{"production": 2}))))
	g.Expect(*resources["nodes"]).To(HaveField("Namespaces", Equal(map[string]int{"": 1})))
	g.Expect(*resources["secrets"]).To(And(HaveField("Opaque", 1), HaveField("Namespaces", Equal(map[string]int{"production": 1}))))

	// the same, by detours
	other := start(t)
	put(t, other, map[string]string{"/registry/deployments/production/web": "an older one", "/registry/deployments/production/gone": "deleted later"})
	_, err := other.Client.Delete(t.Context(), "/registry/deployments/production/gone")
	g.Expect(err).NotTo(HaveOccurred())
	put(t, other, content(t))
	put(t, other, map[string]string{"compact_rev_key": "23"})
	_, its := taken(t, other)
	g.Expect(Compare(&manifest.Digest, &its.Digest, false)).To(BeEmpty())
	g.Expect(Compare(&manifest.Digest, &its.Digest, true)).To(ConsistOf(HaveField("Resource", compactor)))
	g.Expect(its.File.Revision).To(BeNumerically(">", manifest.File.Revision))

	// asked and not read from the file
	live, err := OfCluster(t.Context(), other.Client, 0)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(live).To(Equal(&its.Digest))

	// something else in the same objects, another object of the same name, and one object less
	for change, want := range map[[2]string]string{
		{"/registry/deployments/production/db", strings.ReplaceAll(content(t)["/registry/deployments/production/db"], "note", "nota")}:        "deployments.apps: the same 2 objects, and not the same in them",
		{"/registry/minions/worker-1", strings.ReplaceAll(content(t)["/registry/minions/worker-1"], "uid-of", "uid-ov")}:                      "nodes: 1 objects each, and not the same ones",
		{"/registry/services/specs/default/more", strings.ReplaceAll(content(t)["/registry/services/specs/default/web"], "uid-of", "uid-ov")}: "services: 1 and 2 objects",
	} {
		put(t, other, content(t))
		put(t, other, map[string]string{change[0]: change[1]})
		now, err := OfCluster(t.Context(), other.Client, 0)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(fmt.Sprint(Compare(&manifest.Digest, now, false))).To(ContainSubstring(want))
	}

	// as it was
	then, err := OfCluster(t.Context(), other.Client, its.File.Revision)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(then).To(Equal(&its.Digest))
}

// TestDigestInParts: where not all keys can be remembered at once, the digest is the same.
func TestDigestInParts(t *testing.T) {
	g := NewWithT(t)
	m := start(t)
	for range 3 {
		put(t, m, content(t))
	}
	path, manifest := taken(t, m)
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true})
	g.Expect(err).NotTo(HaveOccurred())
	defer db.Close()
	for _, atOnce := range []int{1, 4, 1000} {
		var d *Digest
		g.Expect(db.View(func(tx *bbolt.Tx) (err error) {
			d, err = digestOf(func(add func(key, value []byte)) error { return newest(t.Context(), tx.Bucket(keyBucket), atOnce, add) })
			return err
		})).To(Succeed())
		g.Expect(*d).To(Equal(manifest.Digest), "%d at once", atOnce)
	}
}

// TestDigestOfWhatIsGone: a file that is cut off while it is read breaks the digest, in whichever goroutine it is noticed, and not the process.
func TestDigestOfWhatIsGone(t *testing.T) {
	g := NewWithT(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	g.Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	size := 4 * os.Getpagesize()
	g.Expect(file.Truncate(int64(size))).To(Succeed())
	mapped, err := syscall.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(syscall.Munmap(mapped)).To(Succeed()) }()
	g.Expect(file.Truncate(0)).To(Succeed())
	g.Expect(func() {
		_, _ = digestOf(func(add func(key, value []byte)) error {
			for range 100 * entriesAtOnce {
				add([]byte("/registry/minions/worker-1"), mapped)
			}
			return nil
		})
	}).To(PanicWith(MatchError(ContainSubstring("invalid memory address"))))
}

// TestDigestInPages: what is read in several answers is as it was at the one revision, whatever was written since.
func TestDigestInPages(t *testing.T) {
	g := NewWithT(t)
	m := start(t)
	nodes := func(uid string) map[string]string {
		all := map[string]string{}
		for i := range 2*firstPage + 50 {
			all[fmt.Sprintf("/registry/minions/worker-%d", i)] = protobuf(t, "v1", "Node", &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("worker-%d", i), UID: types.UID(uid)}})
		}
		return all
	}
	put(t, m, nodes("before"))
	_, manifest := taken(t, m)
	put(t, m, nodes("after"))
	then, err := OfCluster(t.Context(), m.Client, manifest.File.Revision)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(then).To(Equal(&manifest.Digest))
}

// TestManifest: what is written beside a snapshot is what it is of, and can be read again.
func TestManifest(t *testing.T) {
	g := NewWithT(t)
	m := start(t)
	put(t, m, content(t))
	path, manifest := taken(t, m)
	status, err := m.Client.Status(t.Context(), m.Endpoint)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(manifest).To(And(
		HaveField("ClusterID", fmt.Sprintf("%x", status.Header.ClusterId)), HaveField("MemberID", fmt.Sprintf("%x", status.Header.MemberId)),
		HaveField("EtcdVersion", status.Version), HaveField("Time", Equal(time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC))),
		HaveField("File.Revision", status.Header.Revision), HaveField("File.Term", status.RaftTerm), HaveField("File.Index", BeNumerically(">", 0)),
		HaveField("File.SHA256", HaveLen(64)), HaveField("File.StorageVersion", HavePrefix("3.")),
	))
	again, err := ReadManifest(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(manifest))
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).To(ConsistOf(path, path+ManifestSuffix), "nothing half is left")
	for _, file := range files {
		info, err := os.Stat(file)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))
	}
}

// nightly is a snapshot of a member that holds something, and its bytes.
func nightly(t *testing.T, m Member) (path string, whole []byte) {
	t.Helper()
	put(t, m, content(t))
	path, _ = taken(t, m)
	whole, err := os.ReadFile(path)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return path, whole
}

// TestNotASnapshot: what is no snapshot, is cut off anywhere, or has one bit another way, is not read as one.
func TestNotASnapshot(t *testing.T) {
	g := NewWithT(t)
	path, whole := nightly(t, start(t))
	broken := filepath.Join(t.TempDir(), "broken.db")
	opened := func(content []byte) error {
		g.Expect(os.WriteFile(broken, content, 0o600)).To(Succeed())
		_, _, err := Open(t.Context(), broken)
		return err
	}
	g.Expect(opened(whole)).To(Succeed())
	g.Expect(opened(nil)).To(MatchError(ErrNotSnapshot))
	g.Expect(opened([]byte("apiVersion: v1\n"))).To(MatchError(ErrNotSnapshot))
	g.Expect(opened(whole[:len(whole)-32])).To(MatchError(ErrNoHash), "a copied database file")

	random := rand.New(rand.NewPCG(2026, 11))
	for range 200 {
		at := random.IntN(len(whole))
		g.Expect(opened(whole[:at])).To(Or(MatchError(ErrNotSnapshot), MatchError(ErrNoHash), MatchError(ErrHash)), "cut off after %d bytes", at)
	}
	for range 200 {
		flipped := append([]byte(nil), whole...)
		bit := random.IntN(8 * len(flipped))
		flipped[bit/8] ^= 1 << (bit % 8)
		g.Expect(opened(flipped)).To(MatchError(ErrHash), "bit %d is another", bit)
	}
	_, _, err := Open(t.Context(), filepath.Join(t.TempDir(), "nowhere"))
	g.Expect(err).To(MatchError(os.ErrNotExist))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = Open(ctx, path)
	g.Expect(err).To(MatchError(context.Canceled))
}

// TestBrokenDatabase: a database whose pages are gone is an error also when somebody made a hash for it, and no crash.
func TestBrokenDatabase(t *testing.T) {
	g := NewWithT(t)
	m := start(t)
	put(t, m, content(t))
	path, _ := taken(t, m)
	whole, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	for _, pages := range []int{2, 0} { // the first two say where the others are
		emptied := append([]byte(nil), whole[:len(whole)-sha256.Size]...)
		clear(emptied[pages*os.Getpagesize():])
		hash := sha256.Sum256(emptied)
		broken := filepath.Join(t.TempDir(), "broken.db")
		g.Expect(os.WriteFile(broken, append(emptied, hash[:]...), 0o600)).To(Succeed())
		_, _, err = Open(t.Context(), broken)
		g.Expect(err).To(MatchError(ErrNotSnapshot), "after page %d", pages)
	}
}

// TestChoose: no snapshot is taken from a member that lacks what others have.
func TestChoose(t *testing.T) {
	g := NewWithT(t)
	status := func(change func(*clientv3.StatusResponse)) *clientv3.StatusResponse {
		s := &clientv3.StatusResponse{Header: &etcdserverpb.ResponseHeader{ClusterId: 1, MemberId: 2}, Leader: 3, RaftIndex: 5000, RaftAppliedIndex: 5000}
		change(s)
		return s
	}
	healthy := standing{Member: Member{Endpoint: "a"}, status: status(func(*clientv3.StatusResponse) {})}
	for want, s := range map[string]standing{
		"":                         {status: status(func(*clientv3.StatusResponse) {})},
		"does not answer: gone":    {err: fmt.Errorf("gone")},
		"follows no leader":        {status: status(func(s *clientv3.StatusResponse) { s.Leader = 0 })},
		"is a learner":             {status: status(func(s *clientv3.StatusResponse) { s.IsLearner = true })},
		"is 1001 entries behind a": {status: status(func(s *clientv3.StatusResponse) { s.RaftAppliedIndex = 3999 })},
		"is of another cluster than a: 4 and 1": {status: status(func(s *clientv3.StatusResponse) {
			s.Header = &etcdserverpb.ResponseHeader{ClusterId: 4}
		})},
	} {
		g.Expect(s.unfit([]standing{healthy, s})).To(Equal(want))
	}

	one := start(t)
	chosen, err := Choose(t.Context(), []Member{one}, "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(chosen).To(Equal(one))
	alone := Member{Endpoint: one.Endpoint, Client: clientv3.NewCtxClient(t.Context())} // it says that it is well, and no quorum tells it so
	alone.Client.Maintenance, alone.Client.KV = one.Client.Maintenance, cutOff{}
	_, err = Choose(t.Context(), []Member{alone}, "")
	g.Expect(err).To(And(MatchError(ErrBehind), MatchError(ContainSubstring("is not told by the others that it has what they have: etcdserver: request timed out"))))
	_, err = Choose(t.Context(), []Member{one}, "http://elsewhere:2379")
	g.Expect(err).To(And(MatchError(ErrBehind), MatchError(ContainSubstring(`"http://elsewhere:2379" is none of the endpoints`))))
}

// cutOff is how a member answers that has no quorum.
type cutOff struct{ clientv3.KV }

func (cutOff) Get(context.Context, string, ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return nil, rpctypes.ErrTimeout
}

// stalling is a member whose snapshot stops half way.
type stalling struct{ clientv3.Maintenance }

func (stalling) SnapshotWithVersion(ctx context.Context) (*clientv3.SnapshotResponse, error) {
	stopped := readFunc(func([]byte) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
	return &clientv3.SnapshotResponse{Snapshot: io.NopCloser(io.MultiReader(strings.NewReader("half of it"), stopped))}, nil
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestStalls: a snapshot whose stream brings nothing any more is given up, and it is said after how much.
func TestStalls(t *testing.T) {
	g := NewWithT(t)
	client := clientv3.NewCtxClient(t.Context())
	client.Maintenance = stalling{}
	err := fetch(t.Context(), client, filepath.Join(t.TempDir(), "snapshot.db"), 50*time.Millisecond)
	g.Expect(err).To(MatchError("after 10 bytes: nothing came for 50ms"))
}

// TestTakeFromNobody: a member that does not answer is named, and nothing is left.
func TestTakeFromNobody(t *testing.T) {
	g := NewWithT(t)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://127.0.0.1:1"}, Logger: zap.NewNop()})
	g.Expect(err).NotTo(HaveOccurred())
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	dir := t.TempDir()
	_, err = Take(ctx, Member{Endpoint: "http://127.0.0.1:1", Client: client}, filepath.Join(dir, "snapshot.db"), time.Now)
	g.Expect(err).To(MatchError(ContainSubstring("take a snapshot of etcd from http://127.0.0.1:1")))
	g.Expect(filepath.Glob(filepath.Join(dir, "*"))).To(BeEmpty())
}

// TestObstacle: what keeps us from a member is said, and not only that it took too long.
func TestObstacle(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewUnstartedServer(nil)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	ours := server.TLS.Certificates

	g.Expect(Member{Endpoint: server.URL, TLS: &tls.Config{RootCAs: roots, Certificates: ours}}.obstacle(t.Context())).To(Succeed())
	g.Expect(Member{Endpoint: server.URL, TLS: &tls.Config{RootCAs: x509.NewCertPool(), Certificates: ours}}.obstacle(t.Context())).To(MatchError(ContainSubstring("unknown authority")))
	g.Expect(Member{Endpoint: server.URL, TLS: &tls.Config{RootCAs: roots}}.obstacle(t.Context())).To(MatchError(ContainSubstring("certificate required")))
	g.Expect(Member{Endpoint: "127.0.0.1:1"}.obstacle(t.Context())).To(MatchError(ContainSubstring("connection refused")))
}

func TestSumText(t *testing.T) {
	g := NewWithT(t)
	s := Sum{1, 2, 3, 1 << 63}
	raw, err := json.Marshal(s)
	g.Expect(err).NotTo(HaveOccurred())
	var again Sum
	g.Expect(json.Unmarshal(raw, &again)).To(Succeed())
	g.Expect(again).To(Equal(s))
	g.Expect(again.UnmarshalText([]byte("ab"))).To(MatchError(ContainSubstring("expected 64 hexadecimal digits")))
}
