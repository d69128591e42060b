// Package objectstore is S3-compatible object storage for rehearsals: in memory, on loopback, for the pods of a cluster at another address of this machine too, and only for who has its keys.
//
//	store, err := objectstore.Start(ctx, "backups")
//	defer store.Close()
package objectstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
	"golang.org/x/sync/errgroup"
)

// headerTimeout is how long a client may take to say what it wants.
const headerTimeout = 10 * time.Second

// Store is object storage that serves.
type Store struct {
	// URL is where: http://127.0.0.1:PORT. Buckets are the first part of its paths.
	URL string
	// AccessKey and SecretKey are those that it takes requests from, signed with version 4. They are made for it, and of no use elsewhere.
	AccessKey, SecretKey string

	server  *http.Server
	serving errgroup.Group
}

// Region is the one that the store says it is in.
const Region = "us-east-1"

// memory is the library's, which takes an empty delimiter for one.
type memory struct{ *s3mem.Backend }

// ListBucket implements [gofakes3.Backend].
func (m memory) ListBucket(ctx context.Context, name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	if prefix != nil && prefix.Delimiter == "" {
		prefix.HasDelimiter = false
	}
	return m.Backend.ListBucket(ctx, name, prefix, page)
}

// Start starts a store with a bucket. before, when there are any, get each request first, the first of them first: they stand for what goes wrong.
func Start(ctx context.Context, bucket string, before ...func(http.Handler) http.Handler) (*Store, error) {
	backend := memory{s3mem.New()}
	if err := backend.CreateBucket(ctx, bucket); err != nil {
		return nil, fmt.Errorf("make bucket %q: %w", bucket, err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start object storage: %w", err)
	}
	s := &Store{URL: "http://" + listener.Addr().String(), AccessKey: rand.Text(), SecretKey: rand.Text()}
	handler := gofakes3.New(backend, gofakes3.WithV4Auth(map[string]string{s.AccessKey: s.SecretKey}), gofakes3.WithIntegrityCheck(true)).Server()
	for i := len(before) - 1; i >= 0; i-- {
		handler = before[i](handler)
	}
	s.server = &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	s.serve(listener)
	return s, nil
}

// serve serves until the end.
func (s *Store) serve(listener net.Listener) {
	s.serving.Go(func() error {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
}

// ServeAt serves at an address of this machine too, and returns the URL: to others than this machine.
func (s *Store) ServeAt(ctx context.Context, host string) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("serve object storage at %s: %w", host, err)
	}
	s.serve(listener)
	return "http://" + listener.Addr().String(), nil
}

// Close ends it, with all that is in it.
func (s *Store) Close() error {
	return errors.Join(s.server.Close(), s.serving.Wait())
}
