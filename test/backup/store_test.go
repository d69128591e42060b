package backup_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/sim/cloud/objectstore"
	"github.com/seatrial/seatrial/test/etcdtest"
)

const address = "s3://backups/cluster/nightly.db"

// nightly takes a snapshot.
func nightly(t *testing.T) (string, *backup.Manifest) {
	t.Helper()
	g := NewWithT(t)
	client, stop, err := etcdtest.Start(t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	defer stop()
	_, err = client.Put(t.Context(), "/registry/minions/worker-1", strings.Repeat("x", 1<<20))
	g.Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(t.TempDir(), "nightly.db")
	manifest, err := backup.Take(t.Context(), backup.Member{Endpoint: client.Endpoints()[0], Client: client}, path, time.Now)
	g.Expect(err).NotTo(HaveOccurred())
	return path, manifest
}

// startStore starts object storage that requests reach by before.
func startStore(t *testing.T, before ...func(http.Handler) http.Handler) *objectstore.Store {
	t.Helper()
	g := NewWithT(t)
	store, err := objectstore.Start(t.Context(), "backups", before...)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(store.Close()).To(Succeed()) })
	return store
}

func clientOf(t *testing.T, s *objectstore.Store, secret string) *backup.Store {
	t.Helper()
	return clientWithin(t, s, secret, 0)
}

// clientWithin is a client with another [backup.StoreOptions.Stall]. A short one is for stores that stall: beside other tests a store that doesn't may take a second to answer.
func clientWithin(t *testing.T, s *objectstore.Store, secret string, stall time.Duration) *backup.Store {
	t.Helper()
	client, err := backup.NewStore(backup.StoreOptions{
		Endpoint: s.URL, Region: objectstore.Region, Stall: stall, Credentials: credentials.NewStaticV4(s.AccessKey, secret, ""),
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return client
}

// failing answers a request that want chooses otherwise, times times.
func failing(times int32, want func(*http.Request) bool, otherwise http.HandlerFunc) (before func(http.Handler) http.Handler, asked *atomic.Int32) {
	asked = &atomic.Int32{}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if want(r) && asked.Add(1) <= times {
				otherwise(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, asked
}

const always = 1 << 30

func snapshotBy(method string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method && strings.HasSuffix(r.URL.Path, "/nightly.db") }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// half takes or gives a half, and cuts the connection.
func half(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		_, _ = io.CopyN(io.Discard, r.Body, 512<<10)
	} else {
		w.Header().Set("Content-Length", "2000000")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("ETag", `"00000000000000000000000000000000"`)
		_, _ = w.Write(make([]byte, 512<<10))
	}
	panic(http.ErrAbortHandler)
}

// stalled holds a request until its client goes.
func stalled(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the server sees that the client has gone only when it has read all
	<-r.Context().Done()
}

// trickling answers without end, a line at a time.
func trickling(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for line := "HTTP/1.1 200 OK\r\n"; err == nil; line = "X-More: to come\r\n" {
		_, err = io.WriteString(conn, line)
		<-tick.C
	}
}

// TestStore: what was put into object storage is got from it as it was, and proven; without its manifest, or with another's, nobody gets it.
func TestStore(t *testing.T) {
	g := NewWithT(t)
	path, manifest := nightly(t)
	s := startStore(t)
	store := clientOf(t, s, s.SecretKey)

	stored, err := store.Put(t.Context(), path, address)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stored.Size).To(Equal(manifest.File.Size))
	g.Expect(stored.Time).To(BeTemporally("~", time.Now(), time.Minute))
	g.Expect(store.Stat(t.Context(), address)).To(Equal(stored))
	dir := t.TempDir()
	got, err := store.Get(t.Context(), address, dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(backup.ReadManifest(got)).To(Equal(manifest))
	g.Expect(os.ReadFile(got)).To(Equal(must(os.ReadFile(path))))

	_, err = store.Stat(t.Context(), "s3://backups/cluster/other.db")
	g.Expect(err).To(MatchError(ContainSubstring("it has no manifest")))
	_, err = store.Get(t.Context(), "s3://elsewhere/cluster/nightly.db", dir)
	g.Expect(err).To(MatchError(ContainSubstring("it answered 404 NoSuchBucket")))

	// the manifest of another
	other, _ := nightly(t)
	g.Expect(os.WriteFile(other, append(must(os.ReadFile(other)), make([]byte, 512)...), 0o600)).To(Succeed())
	_, err = store.Put(t.Context(), other, address)
	g.Expect(err).To(MatchError(backup.ErrDiffers))
	_, err = store.Get(t.Context(), address, t.TempDir())
	g.Expect(err).To(MatchError(backup.ErrUnfit))

	for _, address := range []string{"s3://", "s3://backups", "s3://backups/", "s3://backups/a/", "s3://backups/../a", "file.db"} {
		g.Expect(backup.CheckAddress(address)).To(MatchError(ContainSubstring("expected s3://BUCKET/KEY")), address)
	}
	for _, endpoint := range []string{"127.0.0.1:9000", "ftp://host", "https://", "https://host/path"} {
		_, err := backup.NewStore(backup.StoreOptions{Endpoint: endpoint})
		g.Expect(err).To(MatchError(ContainSubstring("expected a URL as https://HOST[:PORT]")), endpoint)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// storeFailure is what a store does in place of what it is asked for, how often, how often it is asked at least, what the error says then ("" when there is none), and the client's stall.
type storeFailure struct {
	times     int32
	otherwise http.HandlerFunc
	asked     int32
	want      string
	stall     time.Duration
}

// storeFailures are the bad inputs; broken is what is said of a copy that always breaks off.
func storeFailures(broken string) map[string]storeFailure {
	const short = 500 * time.Millisecond
	return map[string]storeFailure{
		"403":              {always, status(http.StatusForbidden), 1, "it answered 403 AccessDenied", 0},
		"500 for a while":  {2, status(http.StatusInternalServerError), 3, "", 0},
		"500":              {always, status(http.StatusInternalServerError), 5, "it answered 500", 0},
		"half for a while": {2, half, 3, "", 0},
		"half":             {always, half, 5, broken, 0},
		"slow":             {always, stalled, 5, "i/o timeout", short},
		"trickling":        {always, trickling, 1, "it took over", short},
	}
}

// TestStorePut: a store that does not take a snapshot is asked again within a bound; then it is an error, and nothing in the store looks like a whole snapshot.
func TestStorePut(t *testing.T) {
	path, _ := nightly(t)
	for name, c := range storeFailures("nightly.db") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			before, asked := failing(c.times, snapshotBy(http.MethodPut), c.otherwise)
			s := startStore(t, before)
			_, err := clientWithin(t, s, s.SecretKey, c.stall).Put(t.Context(), path, address)
			g.Expect(asked.Load()).To(And(BeNumerically(">=", c.asked), BeNumerically("<=", 2*c.asked)), "net/http repeats what a broken connection may have lost")
			if c.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(ContainSubstring(c.want)))
			g.Expect(err.Error()).NotTo(ContainSubstring(s.SecretKey))
			_, err = clientOf(t, s, s.SecretKey).Get(t.Context(), address, t.TempDir())
			g.Expect(err).To(MatchError(ContainSubstring("it has no manifest")))
		})
	}
}

// TestStoreGet: likewise, and no file is left of what did not come whole.
func TestStoreGet(t *testing.T) {
	path, manifest := nightly(t)
	for name, c := range storeFailures("unexpected EOF") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			before, asked := failing(c.times, snapshotBy(http.MethodGet), c.otherwise)
			s := startStore(t, before)
			_, err := clientOf(t, s, s.SecretKey).Put(t.Context(), path, address)
			g.Expect(err).NotTo(HaveOccurred())
			dir := t.TempDir()
			got, err := clientWithin(t, s, s.SecretKey, c.stall).Get(t.Context(), address, dir)
			g.Expect(asked.Load()).To(And(BeNumerically(">=", c.asked), BeNumerically("<=", 2*c.asked)), "net/http repeats what a broken connection may have lost")
			if c.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(backup.ReadManifest(got)).To(Equal(manifest))
				return
			}
			g.Expect(err).To(MatchError(ContainSubstring(c.want)))
			g.Expect(os.ReadDir(dir)).To(BeEmpty())
		})
	}
}

// TestStoreKeys: with the wrong keys nothing is put, and the error says what the store answered, and not the keys.
func TestStoreKeys(t *testing.T) {
	g := NewWithT(t)
	path, _ := nightly(t)
	s := startStore(t)
	_, err := clientOf(t, s, "not the secret").Put(t.Context(), path, address)
	g.Expect(err).To(MatchError(ContainSubstring("it answered 403 SignatureDoesNotMatch")))
	g.Expect(err.Error()).NotTo(ContainSubstring("not the secret"))
}

// TestStoreReplaced: where a backup is to be replaced and the store does not take the new one, the old one is as it was; where it takes only the snapshot, what is there is none, though the new
// one is as long as the old.
func TestStoreReplaced(t *testing.T) {
	g := NewWithT(t)
	client, stop, err := etcdtest.Start(t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	defer stop()
	taken := func(value string) string { // as long as the other
		_, err := client.Put(t.Context(), "/registry/minions/worker-1", value)
		g.Expect(err).NotTo(HaveOccurred())
		path := filepath.Join(t.TempDir(), "nightly.db")
		_, err = backup.Take(t.Context(), backup.Member{Endpoint: client.Endpoints()[0], Client: client}, path, time.Now)
		g.Expect(err).NotTo(HaveOccurred())
		return path
	}
	old, path := taken("old"), taken("new")
	g.Expect(must(os.Stat(path)).Size()).To(Equal(must(os.Stat(old)).Size()))
	var refused atomic.Value
	refused.Store(".none")
	s := startStore(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, refused.Load().(string)) {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	store := clientOf(t, s, s.SecretKey)
	first, err := store.Put(t.Context(), old, address)
	g.Expect(err).NotTo(HaveOccurred())

	refused.Store(".db")
	_, err = store.Put(t.Context(), path, address)
	g.Expect(err).To(MatchError(ContainSubstring("it answered 403")))
	g.Expect(store.Stat(t.Context(), address)).To(Equal(first))
	_, err = store.Get(t.Context(), address, t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())

	refused.Store(".manifest.json")
	_, err = store.Put(t.Context(), path, address)
	g.Expect(err).To(MatchError(ContainSubstring("it answered 403")))
	_, err = store.Stat(t.Context(), address)
	g.Expect(err).To(MatchError(backup.ErrUnfit))
	_, err = store.Get(t.Context(), address, t.TempDir())
	g.Expect(err).To(MatchError(backup.ErrUnfit))
}

// TestStoreBeside: what belongs to a snapshot is where it is, whole, and the snapshot is what it was.
func TestStoreBeside(t *testing.T) {
	g := NewWithT(t)
	path, _ := nightly(t)
	s := startStore(t)
	store := clientOf(t, s, s.SecretKey)
	_, err := store.Put(t.Context(), path, address)
	g.Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(t.TempDir(), "pki.tar")
	g.Expect(os.WriteFile(file, []byte("the authorities"), 0o600)).To(Succeed())
	g.Expect(store.PutBeside(t.Context(), file, address, ".pki.tar")).To(Succeed())

	got := filepath.Join(t.TempDir(), "got.tar")
	g.Expect(store.GetBeside(t.Context(), address, ".pki.tar", got)).To(Succeed())
	g.Expect(os.ReadFile(got)).To(BeEquivalentTo("the authorities"))
	g.Expect(store.GetBeside(t.Context(), address, ".none", got)).To(MatchError(fs.ErrNotExist))
	g.Expect(store.Snapshots(t.Context(), "backups")).To(Equal([]string{address}), "what belongs to a snapshot is none")
	_, err = store.Stat(t.Context(), address)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(clientOf(t, s, "not the secret").PutBeside(t.Context(), file, address, ".pki.tar")).To(MatchError(ContainSubstring("it answered 403")))
}

// TestStoreAsAWS: the program reaches a store over TLS, with the keys of ~/.aws/credentials, and refuses one whose certificate nobody vouches for.
func TestStoreAsAWS(t *testing.T) {
	g := NewWithT(t)
	path, _ := nightly(t)
	s := startStore(t)
	_, err := clientOf(t, s, s.SecretKey).Put(t.Context(), path, address)
	g.Expect(err).NotTo(HaveOccurred())
	behind, err := url.Parse(s.URL)
	g.Expect(err).NotTo(HaveOccurred())
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(behind))
	defer front.Close()

	home := t.TempDir()
	program, authority := filepath.Join(home, "seatrial"), filepath.Join(home, "ca.crt")
	run(t, "go", "build", "-o", program, "../../cmd/seatrial")
	g.Expect(os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600)).To(Succeed())
	g.Expect(os.Mkdir(filepath.Join(home, ".aws"), 0o700)).To(Succeed())
	keys := func(secret string) {
		text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", s.AccessKey, secret)
		g.Expect(os.WriteFile(filepath.Join(home, ".aws", "credentials"), []byte(text), 0o600)).To(Succeed())
	}
	inspect := func(environment ...string) (string, error) {
		c := exec.CommandContext(t.Context(), program, "backup", "inspect", address, "--s3-endpoint", front.URL, "--s3-region", objectstore.Region)
		c.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}, environment...)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	keys(s.SecretKey)
	out, err := inspect("SSL_CERT_FILE=" + authority)
	g.Expect(err).NotTo(HaveOccurred(), out)
	g.Expect(out).To(ContainSubstring("nodes"))

	out, err = inspect()
	g.Expect(err).To(HaveOccurred())
	g.Expect(out).To(ContainSubstring("certificate signed by unknown authority"))

	keys("not the secret")
	out, err = inspect("SSL_CERT_FILE=" + authority)
	g.Expect(err).To(HaveOccurred())
	g.Expect(out).To(And(ContainSubstring("403"), Not(ContainSubstring("not the secret"))))
}
