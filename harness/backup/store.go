package backup

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"k8s.io/apimachinery/pkg/util/wait"
)

// A snapshot in object storage is two objects, KEY and KEY.manifest.json. The manifest comes last, and says what the other's hash is: without it, or with that of another, the snapshot is
// not whole, and nobody gets it. Where one is replaced, what was there is whole until the new snapshot is there, and the new one is when its manifest is.

const (
	// scheme begins the address of a snapshot in object storage: s3://BUCKET/KEY.
	scheme = "s3://"
	// defaultEndpoint is where buckets are when nothing else is said.
	defaultEndpoint = "https://s3.amazonaws.com"
	// stallTimeout is how long a connection to the store may move no byte.
	stallTimeout = 30 * time.Second
	// tries is how often a request is made that the store does not take, unless it is the request's fault, and a copy that broke off. Between the first two are 200 ms, then twice that.
	tries = 5
	// patience is how many times [stallTimeout] an exchange with the store may take beyond what it moves: each try may be repeated once by net/http, and there are pauses between them.
	patience = 3 * tries
	// leastRate is what an exchange must move on average, in bytes a second, all its tries together: less than any network has that a cluster's backups go over.
	leastRate = 256 << 10
)

// InStore tells whether an address is one of a snapshot in object storage, and not a file's.
func InStore(address string) bool { return strings.HasPrefix(address, scheme) }

// Store is S3-compatible object storage.
type Store struct {
	client *minio.Client
	at     string
	stall  time.Duration
}

// StoreOptions say where object storage is.
type StoreOptions struct {
	// Endpoint is its URL; "" is AWS's.
	Endpoint string
	// Region of the buckets; "" asks the store.
	Region      string
	Credentials *credentials.Credentials
	// Stall is how long a connection may move no byte; 0 is half a minute.
	Stall time.Duration
}

// NewStore makes a client of object storage; it does not ask it yet.
func NewStore(o StoreOptions) (*Store, error) {
	at, err := url.Parse(cmp.Or(o.Endpoint, defaultEndpoint))
	if err != nil || at.Scheme != "https" && at.Scheme != "http" || at.Host == "" || strings.Trim(at.Path, "/") != "" {
		return nil, fmt.Errorf("object storage at %q: expected a URL as https://HOST[:PORT]", o.Endpoint)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	stall := cmp.Or(o.Stall, stallTimeout)
	dial := (&net.Dialer{Timeout: stallTimeout}).DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return moving{conn, stall}, err
	}
	client, err := minio.New(at.Host, &minio.Options{
		Creds: o.Credentials, Secure: at.Scheme == "https", Region: o.Region, Transport: transport, MaxRetries: tries,
	})
	if err != nil {
		return nil, fmt.Errorf("object storage at %q: %w", o.Endpoint, err)
	}
	return &Store{client: client, at: at.Redacted(), stall: stall}, nil
}

// within has an exchange end in time that moves so many bytes: a store that moves a byte now and then does not stall.
func (s *Store) within(ctx context.Context, size int64, exchange func(context.Context) error) error {
	limit := patience*s.stall + time.Duration(size/leastRate)*time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took over %s to move %d bytes", limit.Round(time.Millisecond), size))
	defer cancel()
	err := exchange(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// moving is a connection on which something must move in time. What is written counts for who reads, too: net/http awaits the answer while it still writes.
type moving struct {
	net.Conn
	within time.Duration
}

func (c moving) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.within)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c moving) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.within)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// object is where something is in a store.
type object struct{ bucket, key string }

// Address is that of a snapshot in a bucket.
func Address(bucket, key string) string { return scheme + bucket + "/" + key }

// CheckAddress is an error when an address is none of a snapshot in object storage.
func CheckAddress(address string) error {
	_, err := parse(address)
	return err
}

func parse(address string) (object, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(address, scheme), "/")
	if !InStore(address) || bucket == "" || key == "" || strings.HasSuffix(key, "/") || path.Clean("/"+key) != "/"+key {
		return object{}, fmt.Errorf("%q: expected %sBUCKET/KEY", address, scheme)
	}
	return object{bucket, key}, nil
}

// Stored is what a store says of a snapshot that it has.
type Stored struct {
	// Size is of the snapshot, in bytes.
	Size int64 `json:"size"`
	// Time is when the store got its manifest, by the store's clock.
	Time time.Time `json:"time"`
}

// Put copies a snapshot and its manifest to the address, and looks whether both are there. What is there under that address already is replaced.
func (s *Store) Put(ctx context.Context, snapshot, address string) (Stored, error) {
	o, err := parse(address)
	if err != nil {
		return Stored{}, err
	}
	m, err := ReadManifest(snapshot)
	if err != nil {
		return Stored{}, err
	}
	var stored Stored
	err = s.within(ctx, m.File.Size, func(ctx context.Context) (err error) {
		stored, err = s.put(ctx, snapshot, m, o)
		return err
	})
	if err != nil {
		return Stored{}, fmt.Errorf("keep %q as %s in the object storage at %s: %w", snapshot, address, s.at, said(err))
	}
	return stored, nil
}

// hashOf is what an object's metadata calls the SHA-256 of the snapshot that it is, and of the one that a manifest is of. A store replaces an object in one piece, with its metadata.
const hashOf = "Seatrial-Sha256"

func (s *Store) put(ctx context.Context, snapshot string, m *Manifest, o object) (Stored, error) {
	options := minio.PutObjectOptions{
		SendContentMd5: true, // the store compares it with what it got
		UserMetadata:   map[string]string{hashOf: m.File.SHA256},
	}
	for _, suffix := range []string{"", ManifestSuffix} {
		if _, err := s.client.FPutObject(ctx, o.bucket, o.key+suffix, snapshot+suffix, options); err != nil {
			return Stored{}, err
		}
	}
	return s.stat(ctx, o, m)
}

// PutBeside copies a file to where what belongs to a snapshot is: the snapshot's address, with a suffix.
func (s *Store) PutBeside(ctx context.Context, file, snapshot, suffix string) error {
	o, err := parse(snapshot)
	if err == nil {
		err = s.within(ctx, 0, func(ctx context.Context) error {
			_, err := s.client.FPutObject(ctx, o.bucket, o.key+suffix, file, minio.PutObjectOptions{SendContentMd5: true})
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("keep %q beside %s in the object storage at %s: %w", file, snapshot, s.at, said(err))
	}
	return nil
}

// GetBeside copies what belongs to a snapshot to a file for its owner alone: what is at the snapshot's address, with a suffix. The error wraps [fs.ErrNotExist] when nothing is.
func (s *Store) GetBeside(ctx context.Context, snapshot, suffix, file string) error {
	o, err := parse(snapshot)
	if err == nil {
		err = s.copy(ctx, object{o.bucket, o.key + suffix}, 0, func(from io.Reader) (err error) {
			to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, to.Close()) }()
			_, err = io.Copy(to, from)
			return err
		})
	}
	if answer(err).Code == minio.NoSuchKey {
		err = errors.Join(err, fs.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("get %s%s from the object storage at %s: %w", snapshot, suffix, s.at, said(err))
	}
	return nil
}

// Snapshots lists the addresses of the snapshots in a bucket, those that have a manifest. Whether one is whole [Store.Get] and [Store.Stat] say: one that was to be replaced may have the manifest of before.
func (s *Store) Snapshots(ctx context.Context, bucket string) ([]string, error) {
	var found []string
	err := s.within(ctx, 0, func(ctx context.Context) error {
		for o := range s.client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
			if o.Err != nil {
				return o.Err
			}
			if key, ok := strings.CutSuffix(o.Key, ManifestSuffix); ok {
				found = append(found, Address(bucket, key))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list bucket %q of the object storage at %s: %w", bucket, s.at, said(err))
	}
	return found, nil
}

// Stat asks the store for a snapshot. The error says what of it is missing.
func (s *Store) Stat(ctx context.Context, address string) (Stored, error) {
	o, err := parse(address)
	if err != nil {
		return Stored{}, err
	}
	m, err := s.manifest(ctx, o)
	if err == nil {
		var stored Stored
		err = s.within(ctx, 0, func(ctx context.Context) (err error) {
			stored, err = s.stat(ctx, o, m)
			return err
		})
		if err == nil {
			return stored, nil
		}
	}
	return Stored{}, fmt.Errorf("look for %s in the object storage at %s: %w", address, s.at, said(err))
}

func (s *Store) stat(ctx context.Context, o object, m *Manifest) (Stored, error) {
	there, err := s.client.StatObject(ctx, o.bucket, o.key, minio.StatObjectOptions{})
	if err != nil {
		return Stored{}, err
	}
	manifest, err := s.client.StatObject(ctx, o.bucket, o.key+ManifestSuffix, minio.StatObjectOptions{})
	if err != nil {
		return Stored{}, err
	}
	if there.Size != m.File.Size {
		return Stored{}, fmt.Errorf("it has %d bytes, and its manifest says %d: %w", there.Size, m.File.Size, ErrDiffers)
	}
	if hash := there.UserMetadata[hashOf]; hash != m.File.SHA256 {
		return Stored{}, fmt.Errorf("its metadata says the SHA-256 %q, and its manifest %s: %w", hash, m.File.SHA256, ErrDiffers)
	}
	return Stored{Size: there.Size, Time: manifest.LastModified.UTC()}, nil
}

// manifest reads the manifest of a snapshot, which is small.
func (s *Store) manifest(ctx context.Context, o object) (*Manifest, error) {
	var raw bytes.Buffer
	err := s.copy(ctx, object{o.bucket, o.key + ManifestSuffix}, 0, func(from io.Reader) error {
		raw.Reset()
		_, err := raw.ReadFrom(io.LimitReader(from, manifestLimit))
		return err
	})
	if answer(err).Code == minio.NoSuchKey {
		return nil, fmt.Errorf("it has no manifest, so its copying did not end: %w", errors.Join(err, ErrUnfit))
	}
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(raw.Bytes())
	if err != nil {
		return nil, fmt.Errorf("read its manifest: %w: %w", err, ErrUnfit)
	}
	return m, nil
}

// manifestLimit is more than a manifest has, in bytes: a line for each resource and namespace.
const manifestLimit = 64 << 20

// Get copies a snapshot and its manifest from the address to a folder, and says where it is there. A snapshot that is not the one of its manifest wraps [ErrUnfit], and is not left.
func (s *Store) Get(ctx context.Context, address, dir string) (snapshot string, err error) {
	o, err := parse(address)
	if err != nil {
		return "", err
	}
	snapshot = filepath.Join(dir, path.Base(o.key))
	partial := snapshot + partialSuffix
	if err := s.get(ctx, o, partial, snapshot); err != nil {
		return "", fmt.Errorf("get %s from the object storage at %s: %w", address, s.at, errors.Join(said(err), removed(partial)))
	}
	return snapshot, nil
}

func (s *Store) get(ctx context.Context, o object, partial, snapshot string) error {
	m, err := s.manifest(ctx, o)
	if err != nil {
		return err
	}
	var got File
	err = s.copy(ctx, o, m.File.Size, func(from io.Reader) (err error) {
		file, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		hashed := newSeal()
		if _, err := io.Copy(io.MultiWriter(file, hashed), from); err != nil {
			return err
		}
		got, err = hashed.file()
		return err
	})
	if err != nil {
		return err
	}
	if got.SHA256 != m.File.SHA256 {
		return fmt.Errorf("its manifest is of another one, with the SHA-256 %s: %w", m.File.SHA256, ErrDiffers)
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := write(snapshot+ManifestSuffix, append(raw, '\n')); err != nil {
		return err
	}
	return os.Rename(partial, snapshot)
}

// copy has to read an object of about so many bytes from its beginning, and once more when that broke off.
func (s *Store) copy(ctx context.Context, o object, size int64, to func(io.Reader) error) error {
	return s.within(ctx, size, func(ctx context.Context) error {
		backoff := wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Steps: tries}
		var broke error
		err := wait.ExponentialBackoffWithContext(ctx, backoff, func(ctx context.Context) (bool, error) {
			from, _, _, err := minio.Core{Client: s.client}.GetObject(ctx, o.bucket, o.key, minio.GetObjectOptions{})
			if err != nil {
				return false, err // it was asked often enough
			}
			broke = errors.Join(to(from), from.Close())
			if errors.Is(broke, ErrUnfit) {
				return false, broke
			}
			return broke == nil, nil
		})
		if wait.Interrupted(err) && broke != nil {
			return broke
		}
		return err
	})
}

// answer is what a store answered, when an error is about that.
func answer(err error) (a minio.ErrorResponse) {
	errors.As(err, &a)
	return a
}

// said puts the status and code before what a store answered.
func said(err error) error {
	if a := answer(err); a.StatusCode != 0 {
		return fmt.Errorf("it answered %d %s: %w", a.StatusCode, a.Code, err)
	}
	return err
}
