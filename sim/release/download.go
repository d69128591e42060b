package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const (
	connectTimeout = 5 * time.Second
	answerTimeout  = 15 * time.Second
	// stallTimeout is how long a download may bring nothing.
	stallTimeout = 30 * time.Second
	// maxText bounds a checksum file or the name of a version, in bytes.
	maxText = 4 << 10
	// maxBinary bounds a component, in bytes. The largest have about 130 MB.
	maxBinary = 1 << 30
)

var (
	errNotFound = errors.New("404 Not Found")
	errStalled  = fmt.Errorf("nothing came for %s", stallTimeout)
)

// unreachableError says that the download host gave no usable answer, so that a build is the way.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: answerTimeout,
		ForceAttemptHTTP2:     true,
	}}
}

// download has the components from the download host. When that can't be reached it is an unreachableError.
func (s *Store) download(ctx context.Context, t task) error {
	for _, c := range t.components {
		err := s.downloadComponent(ctx, t, c)
		if errors.Is(err, errNotFound) {
			available, err := s.publishedVersions(ctx)
			if err != nil {
				return err
			}
			return unknownVersion(t.version, s.baseURL, available)
		}
		if err != nil {
			return fmt.Errorf("download %q: %w", c, err)
		}
	}
	return nil
}

func (s *Store) downloadComponent(ctx context.Context, t task, component string) error {
	url := fmt.Sprintf("%s/release/%s/bin/linux/%s/%s", s.baseURL, t.version, runtime.GOARCH, component)
	want, err := s.publishedSum(ctx, url+".sha256")
	if err != nil {
		return err
	}
	if err := s.checkSpace(need{string(t.folder), downloadSpace}); err != nil {
		return err
	}
	file := filepath.Join(t.work, component)
	got, err := s.downloadFile(ctx, url, file, t.version+" "+component)
	if err != nil {
		return err
	}
	if got != want {
		return errors.Join(
			fmt.Errorf("checksum mismatch: %s has SHA-256 %s, published is %s; the file was thrown away", url, got, want),
			os.Remove(file))
	}
	return t.folder.add(t.manifest, component, file, Download)
}

// publishedSum reads a checksum file: 64 hex digits, and perhaps a file name.
func (s *Store) publishedSum(ctx context.Context, url string) (string, error) {
	text, err := s.readText(ctx, url)
	if err != nil {
		return "", err
	}
	fields := strings.Fields(text)
	if len(fields) > 0 {
		if sum, err := hex.DecodeString(fields[0]); err == nil && len(sum) == sha256.Size {
			return strings.ToLower(fields[0]), nil
		}
	}
	return "", fmt.Errorf("%s is not a SHA-256: %.80q", url, text)
}

// publishedPatch is the newest patch of a minor, as the download host names it.
func (s *Store) publishedPatch(ctx context.Context, minor string) (string, error) {
	version, err := s.publishedVersion(ctx, strings.TrimPrefix(minor, "v"))
	if errors.Is(err, errNotFound) {
		available, err := s.publishedVersions(ctx)
		if err != nil {
			return "", err
		}
		return "", unknownVersion(minor, s.baseURL, available)
	}
	return version, err
}

// publishedVersions is the newest patch of each of the newest minors.
func (s *Store) publishedVersions(ctx context.Context) ([]string, error) {
	newest, err := s.publishedVersion(ctx, "")
	if err != nil {
		return nil, err
	}
	versions := []string{newest}
	minor, err := strconv.Atoi(strings.Split(newest, ".")[1])
	if err != nil {
		return nil, err
	}
	for m := minor - 1; m >= 0 && len(versions) < maxListed; m-- {
		v, err := s.publishedVersion(ctx, fmt.Sprintf("1.%d", m))
		if errors.Is(err, errNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		versions = append(versions, v)
	}
	return versions, nil
}

// publishedVersion reads stable.txt, or with a minor ("1.34") stable-1.34.txt.
func (s *Store) publishedVersion(ctx context.Context, minor string) (string, error) {
	url := s.baseURL + "/release/stable.txt"
	if minor != "" {
		url = s.baseURL + "/release/stable-" + minor + ".txt"
	}
	text, err := s.readText(ctx, url)
	if err != nil {
		return "", err
	}
	version := strings.TrimSpace(text)
	if !isExact(version) {
		return "", fmt.Errorf("%s is not a version: %.80q", url, text)
	}
	return version, nil
}

func (s *Store) readText(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stallTimeout)
	defer cancel()
	body, err := s.open(ctx, url)
	if err != nil {
		return "", err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxText))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", url, err)
	}
	return string(data), nil
}

// downloadFile writes what the host has to a new file and gives its SHA-256.
func (s *Store) downloadFile(ctx context.Context, url, path, name string) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body, err := s.open(ctx, url)
	if err != nil {
		return "", err
	}
	defer body.Close()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	watched := &watchedReader{store: s, name: name, from: body, stall: time.AfterFunc(stallTimeout, func() { cancel(errStalled) })}
	defer watched.stall.Stop()
	defer s.progress.Finish()
	n, err := io.Copy(io.MultiWriter(file, hash), io.LimitReader(watched, maxBinary))
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("%s, after %s: %w", url, byteCount(uint64(n)), err)
	}
	s.progress.Say("downloaded %s: %s", name, byteCount(uint64(n)))
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// watchedReader says how much has come, and puts off the timer that ends a stalled download.
type watchedReader struct {
	store *Store
	name  string
	from  io.Reader
	stall *time.Timer
	count uint64
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.count += uint64(n)
	r.stall.Reset(stallTimeout)
	r.store.progress.Update("downloading %s: %s", r.name, byteCount(r.count))
	return n, err
}

// open asks the host for a file. When the host gives no answer, or one that says nothing about the file, that is
// an unreachableError, and the host is not asked again in the life of the store.
func (s *Store) open(ctx context.Context, url string) (io.ReadCloser, error) {
	if err := s.hostError(); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, s.giveUpHost(err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		return response.Body, nil
	case http.StatusNotFound:
		response.Body.Close()
		return nil, fmt.Errorf("%s: %w", url, errNotFound)
	default:
		response.Body.Close()
		return nil, s.giveUpHost(fmt.Errorf("%s answered %s", url, response.Status))
	}
}

// hostError is why the host is not asked again, or nil while it is.
func (s *Store) hostError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unreachable
}

func (s *Store) giveUpHost(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unreachable == nil {
		s.unreachable = &unreachableError{err}
		s.progress.Say("%s can't be used (%v): building from the module with the go command instead", s.baseURL, err)
	}
	return s.unreachable
}
