package backup

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/seatrial/seatrial/harness/etcd"
)

// ErrBehind is wrapped when a member is not to be taken a snapshot from: it does not answer, follows nobody, learns, or lacks what others have (d-33).
var ErrBehind = errors.New("no snapshot is taken from it")

// Manifest says what a snapshot is of. It is written beside it, as NAME.manifest.json.
type Manifest struct {
	Time time.Time `json:"time"`
	// ClusterID and MemberID are in hexadecimal, as etcdctl writes them.
	ClusterID string `json:"clusterID"`
	MemberID  string `json:"memberID"`
	// Endpoint is the member that it was taken from.
	Endpoint string `json:"endpoint"`
	// EtcdVersion is that member's, as "3.6.5".
	EtcdVersion string `json:"etcdVersion"`
	File        File   `json:"file"`
	Digest      Digest `json:"digest"`
}

// ManifestSuffix is what a manifest's name has after the snapshot's.
const ManifestSuffix = ".manifest.json"

// partialSuffix is what a file is called until it is whole.
const partialSuffix = ".partial"

// ReadManifest reads the manifest beside a snapshot.
func ReadManifest(snapshot string) (*Manifest, error) {
	raw, err := os.ReadFile(snapshot + ManifestSuffix)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of snapshot %q: %w", snapshot, err)
	}
	m, err := parseManifest(raw)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of snapshot %q: %w", snapshot, err)
	}
	return m, nil
}

// parseManifest reads a manifest, which has to say what the snapshot holds.
func parseManifest(raw []byte) (*Manifest, error) {
	m := &Manifest{}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, err
	}
	if m.Digest.Resources == nil {
		return nil, errors.New("it has no digest")
	}
	for name, r := range m.Digest.Resources {
		if r == nil {
			return nil, fmt.Errorf("its digest has nothing for %q", name)
		}
	}
	return m, nil
}

// Member is a member of an etcd, by the endpoint at which it answers.
type Member struct {
	Endpoint string
	Client   *clientv3.Client
	// TLS is what Client proves itself with; nil for plain connections.
	TLS *tls.Config
}

// status asks the member how it is. Of a connection that can't be made gRPC says only that it took too long, so it is then looked what is in the way.
func (m Member) status(ctx context.Context) (*clientv3.StatusResponse, error) {
	asking, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	s, err := m.Client.Status(asking, m.Endpoint)
	if err != nil && ctx.Err() == nil {
		err = cmp.Or(m.obstacle(ctx), err)
	}
	return s, err
}

// obstacle is why no connection to the member can be made; nil when one can.
func (m Member) obstacle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	host := m.Endpoint
	if u, err := url.Parse(m.Endpoint); err == nil && u.Host != "" {
		host = u.Host
	}
	var conn net.Conn
	var err error
	if m.TLS != nil {
		conn, err = (&tls.Dialer{Config: m.TLS}).DialContext(ctx, "tcp", host)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", host)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	// A server may refuse a client's certificate after the handshake; otherwise it speaks first, or waits.
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	if _, err = conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// standing is how a member stands to the others.
type standing struct {
	Member
	status *clientv3.StatusResponse
	err    error
}

// answerTimeout is how long a member may take to say how it is.
const answerTimeout = 5 * time.Second

// Choose asks all members how they are, and chooses one to take a snapshot from: one that has a leader and all that the others have, as a quorum confirms, if it can be no leader, which has enough to do.
// With an endpoint it is that one or none. Errors wrap [ErrBehind].
func Choose(ctx context.Context, members []Member, endpoint string) (Member, error) {
	all := make([]standing, len(members))
	var asking sync.WaitGroup
	for i, m := range members {
		asking.Go(func() {
			s, err := m.status(ctx)
			all[i] = standing{m, s, err}
		})
	}
	asking.Wait()
	var fit []standing
	var refused []string
	for _, s := range all {
		why := s.unfit(all)
		if why == "" {
			fit = append(fit, s)
		}
		if why == "" || endpoint != "" && s.Endpoint != endpoint {
			continue
		}
		refused = append(refused, s.Endpoint+" "+why)
	}
	slices.SortStableFunc(fit, func(a, b standing) int { return cmp.Compare(a.leads(), b.leads()) })
	for _, s := range fit {
		if endpoint != "" && s.Endpoint != endpoint {
			continue
		}
		err := s.confirm(ctx)
		if err == nil {
			return s.Member, nil
		}
		refused = append(refused, fmt.Sprintf("%s is not told by the others that it has what they have: %v", s.Endpoint, err))
	}
	if len(refused) == 0 {
		return Member{}, fmt.Errorf("choose a member of etcd: %q is none of the endpoints: %w", endpoint, ErrBehind)
	}
	return Member{}, fmt.Errorf("choose a member of etcd: %s: %w", strings.Join(refused, "; "), ErrBehind)
}

// confirm has the member read something that only one reads which has all that a quorum had when it was asked: also where the others have no endpoint here, or don't answer us.
func (m Member) confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := m.Client.Get(ctx, "health") // as etcdctl endpoint health does; not serializable
	return err
}

// leads is 1 for a leader.
func (s standing) leads() int {
	if s.status.Leader == s.status.Header.MemberId {
		return 1
	}
	return 0
}

// unfit says why no snapshot is taken from the member; "" when one may be.
func (s standing) unfit(all []standing) string {
	switch {
	case s.err != nil:
		return fmt.Sprintf("does not answer: %v", s.err)
	case s.status.Leader == 0:
		return "follows no leader"
	case s.status.IsLearner:
		return "is a learner"
	}
	for _, other := range all {
		switch {
		case other.err != nil:
		case other.status.Header.ClusterId != s.status.Header.ClusterId:
			return fmt.Sprintf("is of another cluster than %s: %x and %x", other.Endpoint, s.status.Header.ClusterId, other.status.Header.ClusterId)
		case other.status.RaftIndex > s.status.RaftAppliedIndex+etcd.MaxBehind:
			return fmt.Sprintf("is %d entries behind %s", other.status.RaftIndex-s.status.RaftAppliedIndex, other.Endpoint)
		}
	}
	return ""
}

// Take takes a snapshot from a member, puts it at path with its manifest beside it, and reads it again. Until it is whole it has another name. Who may read it reads every Secret: it is
// for its owner alone.
func Take(ctx context.Context, from Member, path string, now func() time.Time) (*Manifest, error) {
	return TakeBy(ctx, from, path, now, func(ctx context.Context, file string) error { return fetch(ctx, from.Client, file, streamIdle) })
}

// TakeBy is Take where something else writes the snapshot to a file: etcdctl snapshot save on a node.
func TakeBy(ctx context.Context, from Member, path string, now func() time.Time, save func(ctx context.Context, file string) error) (*Manifest, error) {
	m, err := take(ctx, from, path, now, save)
	if err != nil {
		return nil, fmt.Errorf("take a snapshot of etcd from %s to %q: %w", from.Endpoint, path, errors.Join(err, removed(path+partialSuffix)))
	}
	return m, nil
}

func removed(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func take(ctx context.Context, from Member, path string, now func() time.Time, save func(ctx context.Context, file string) error) (*Manifest, error) {
	status, err := from.status(ctx)
	if err != nil {
		return nil, err
	}
	m := &Manifest{
		Time: now().UTC(), Endpoint: from.Endpoint, EtcdVersion: status.Version,
		ClusterID: fmt.Sprintf("%x", status.Header.ClusterId), MemberID: fmt.Sprintf("%x", status.Header.MemberId),
	}
	partial := path + partialSuffix
	if err := save(ctx, partial); err != nil {
		return nil, err
	}
	if err := m.look(ctx, partial); err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := write(path+ManifestSuffix, append(raw, '\n')); err != nil {
		return nil, err
	}
	return m, errors.Join(os.Rename(partial, path), syncPath(filepath.Dir(path)))
}

// look reads what was saved: its hash and what is in it, side by side, while the disk gets it. Where the hash is wrong that is what is said, whatever else is.
func (m *Manifest) look(ctx context.Context, path string) error {
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return syncPath(path) })
	var content File
	var digest *Digest
	var contentErr error
	all.Go(func() error {
		digest, contentErr = content.read(ctx, path)
		return nil
	})
	all.Go(func() (err error) { m.File, err = whole(ctx, path); return err })
	if err := cmp.Or(all.Wait(), contentErr); err != nil {
		return err
	}
	content.Size, content.SHA256 = m.File.Size, m.File.SHA256
	m.File, m.Digest = content, *digest
	return nil
}

// fetch writes the stream of a snapshot, with the hash that etcd sends after it, to a file. It ends when nothing comes for long.
func fetch(ctx context.Context, client *clientv3.Client, path string, within time.Duration) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(within, func() { cancel(fmt.Errorf("nothing came for %s", within)) })
	defer idle.Stop()
	stream, err := client.SnapshotWithVersion(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Snapshot.Close()) }()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := io.Copy(file, &watched{Reader: stream.Snapshot, idle: idle, within: within})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", size, err)
	}
	return nil
}

// streamIdle is how long the stream of a snapshot may bring nothing.
const streamIdle = 30 * time.Second

// watched is a reader that puts off what happens when nothing was read for long.
type watched struct {
	io.Reader
	idle   *time.Timer
	within time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.idle.Reset(w.within)
	}
	return n, err
}

// write writes a file in one piece.
func write(path string, content []byte) (err error) {
	partial := path + partialSuffix
	file, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, removed(partial))
	}
	return os.Rename(partial, path)
}

// syncPath makes what was written to a file last, or the names in a folder.
func syncPath(path string) error {
	opened, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
