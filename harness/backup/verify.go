package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/coreos/go-semver/semver"
	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrDiffers is wrapped when what a snapshot restores to is not what its manifest says.
var ErrDiffers = fmt.Errorf("it does not hold what it is to hold: %w", ErrUnfit)

// ErrNewer is wrapped when a snapshot is of an etcd that is newer than the one it would be proven with. It may be in order.
var ErrNewer = errors.New("it can't be proven with an older etcd")

// Scratch restores snapshots into an etcd that is thrown away.
type Scratch interface {
	// Restore starts one with what is in the snapshot, which may be damaged in any way, has look ask it, ends it, and says where the database is that it served. end throws that away.
	Restore(ctx context.Context, snapshot string, look func(*clientv3.Client) error) (database string, end func() error, err error)
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

// Verify looks whether the hash of a snapshot is right while it restores it, and compares what is there then with its manifest or, where there is none, with what is in the file. Errors
// wrap [ErrUnfit] when it is not to be restored from, and [ErrNewer] when that can't be told.
func Verify(ctx context.Context, path string, scratch Scratch) (*Verification, error) {
	v := &Verification{Unchecked: []string{}}
	if err := v.verify(ctx, path, scratch); err != nil {
		return nil, fmt.Errorf("verify snapshot %q: %w", path, err)
	}
	return v, nil
}

func (v *Verification) verify(ctx context.Context, path string, scratch Scratch) error {
	restoring, end := context.WithCancel(ctx)
	defer end()
	looked := make(chan error, 1)
	go func() {
		err := v.look(ctx, path)
		if err != nil {
			end() // whatever it restores to
		}
		looked <- err
	}()
	var err error
	v.Digest, err = restored(restoring, path, scratch)
	if err := <-looked; err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return v.compare(ctx, path)
}

// look tells whether the file is whole and can be proven at all, and is the one of its manifest.
func (v *Verification) look(ctx context.Context, path string) (err error) {
	if v.File, err = whole(ctx, path); err != nil {
		return err
	}
	if err := v.File.view(path, func(*bbolt.Bucket) error { return nil }); err != nil {
		return err
	}
	if newer, err := v.File.newer(version.Version); err != nil || newer {
		return errors.Join(err, fmt.Errorf("it is of etcd %s, and there is %s: %w", v.File.StorageVersion, version.Version, ErrNewer))
	}
	if v.Manifest, err = ReadManifest(path); errors.Is(err, fs.ErrNotExist) {
		v.Unchecked = append(v.Unchecked, "there is no manifest beside it, so nothing says what it is to hold")
		return nil
	}
	if err == nil && v.Manifest.File != v.File {
		return fmt.Errorf("its manifest is of another one, with the SHA-256 %s and the revision %d: %w", v.Manifest.File.SHA256, v.Manifest.File.Revision, ErrDiffers)
	}
	return err
}

// compare compares what is restored with what is to be there.
func (v *Verification) compare(ctx context.Context, path string) error {
	if v.Manifest != nil {
		if err := same("its manifest", &v.Manifest.Digest, v.Digest); err != nil {
			return err
		}
	} else {
		held, err := new(File).read(ctx, path)
		if err != nil {
			return err
		}
		if err := same("what is in the file", held, v.Digest); err != nil {
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

// restored restores a snapshot and makes the digest of what is there then. The etcd is asked how many keys it serves; what is in them is read from the database that it served, when it
// has ended: by its API that took longer than all else.
func restored(ctx context.Context, path string, scratch Scratch) (_ *Digest, err error) {
	var served int64
	database, end, err := scratch.Restore(ctx, path, func(client *clientv3.Client) error {
		all, err := client.Get(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithCountOnly())
		if err != nil {
			return fmt.Errorf("count its keys: %w", err)
		}
		served = all.Count
		return nil
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	d, err := new(File).read(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("read what was restored: %w", err)
	}
	if served != int64(d.Objects()) {
		return nil, fmt.Errorf("the etcd that it was restored into served %d keys, and has %d in its database: %w", served, d.Objects(), ErrDiffers)
	}
	return d, nil
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
