package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/coreos/go-semver/semver"
	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrDiffers is wrapped when what a snapshot restores to is not what its manifest says.
var ErrDiffers = fmt.Errorf("it does not hold what it is to hold: %w", ErrUnfit)

// ErrNewer is wrapped when a snapshot is of an etcd that is newer than the one it would be proven with. It may be in order.
var ErrNewer = errors.New("it can't be proven with an older etcd")

// Scratch restores snapshots into an etcd that is thrown away.
type Scratch interface {
	// Restore starts one with what is in the snapshot, and gives a client of it. end throws both away.
	Restore(ctx context.Context, snapshot string) (client *clientv3.Client, end func() error, err error)
}

// Verification says what a snapshot was found to be.
type Verification struct {
	File File `json:"file"`
	// Digest is of what it restored to.
	Digest *Digest `json:"digest"`
	// Manifest is what was beside it; nil when nothing was.
	Manifest *Manifest `json:"manifest,omitempty"`
	// Unchecked says what could not be looked at.
	Unchecked []string `json:"unchecked"`
}

// Verify looks whether the hash of a snapshot is right, restores it, and compares what is there then with its manifest. Errors wrap [ErrUnfit] when
// it is not to be restored from, and [ErrNewer] when that can't be told.
func Verify(ctx context.Context, path string, scratch Scratch) (*Verification, error) {
	file, read, err := Open(ctx, path)
	if err != nil {
		return nil, err
	}
	if newer, err := file.newer(version.Version); err != nil || newer {
		return nil, errors.Join(err, fmt.Errorf("snapshot %q: it is of etcd %s, and there is %s: %w", path, file.StorageVersion, version.Version, ErrNewer))
	}
	v := &Verification{File: file, Unchecked: []string{}}
	if v.Manifest, err = ReadManifest(path); errors.Is(err, fs.ErrNotExist) {
		v.Unchecked = append(v.Unchecked, "there is no manifest beside it, so nothing says what it is to hold")
	} else if err != nil {
		return nil, err
	}
	if err := v.restore(ctx, path, scratch, read); err != nil {
		return nil, fmt.Errorf("verify snapshot %q: %w", path, err)
	}
	return v, nil
}

func (v *Verification) restore(ctx context.Context, path string, scratch Scratch, read *Digest) (err error) {
	if m := v.Manifest; m != nil && m.File != v.File {
		return fmt.Errorf("its manifest is of another one, with the SHA-256 %s and the revision %d: %w", m.File.SHA256, m.File.Revision, ErrDiffers)
	}
	client, end, err := scratch.Restore(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if v.Digest, err = OfCluster(ctx, client, 0); err != nil {
		return err
	}
	if err := same("what is in the file", read, v.Digest); err != nil {
		return err
	}
	if v.Manifest != nil {
		if err := same("its manifest", &v.Manifest.Digest, v.Digest); err != nil {
			return err
		}
	}
	opaque := 0
	for _, r := range v.Digest.Resources {
		opaque += r.Opaque
	}
	if opaque > 0 {
		v.Unchecked = append(v.Unchecked, fmt.Sprintf("whether %d encrypted values can be decrypted", opaque))
	}
	return nil
}

// newer tells whether the snapshot is of a later minor of etcd than a version. Those that don't say are of 3.5 or older.
func (f File) newer(than string) (bool, error) {
	if f.StorageVersion == "" {
		return false, nil
	}
	of, err := semver.NewVersion(f.StorageVersion)
	if err != nil {
		return false, fmt.Errorf("read the version of its database: %w", err)
	}
	have := semver.Must(semver.NewVersion(than))
	return of.Major > have.Major || of.Major == have.Major && of.Minor > have.Minor, nil
}

// same is an error when what was restored is not what something says.
func same(what string, want, restored *Digest) error {
	differences := Compare(want, restored, true)
	if len(differences) == 0 {
		return nil
	}
	const most = 5
	var texts []string
	for _, d := range differences[:min(most, len(differences))] {
		texts = append(texts, d.String())
	}
	if more := len(differences) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d resources more", more))
	}
	return fmt.Errorf("%s and what was restored differ: %s: %w", what, strings.Join(texts, "; "), ErrDiffers)
}
