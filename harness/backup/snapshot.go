package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
)

// A snapshot is a database of etcd with the SHA-256 of its bytes after them. The database's size is a multiple of 512, so it shows whether the hash is there.
// https://etcd.io/docs/v3.6/op-guide/recovery/

// ErrUnfit is wrapped by every error of a file that is not to be restored from.
var ErrUnfit = errors.New("it is not to be restored from")

// What is wrong with such a file.
var (
	// ErrNoHash is wrapped when the file is as a database is, without the hash of a snapshot: it was copied, and nothing says whether it is whole (d-31).
	ErrNoHash = fmt.Errorf("it has no hash, so it is a copied database file and not a snapshot, or it is cut off: %w", ErrUnfit)
	// ErrHash is wrapped when the hash is of other bytes.
	ErrHash = fmt.Errorf("its hash is of other bytes: %w", ErrUnfit)
	// ErrNotSnapshot is wrapped when the file is neither.
	ErrNotSnapshot = fmt.Errorf("it is not a snapshot of etcd: %w", ErrUnfit)
)

// File is what a snapshot says without being restored.
type File struct {
	// Size is in bytes, with the hash.
	Size int64 `json:"size"`
	// SHA256 is of the whole file, in hexadecimal.
	SHA256 string `json:"sha256"`
	// Revision is that of the last change that is in it, Term that of raft when it was made, and Index that of the raft log's entry which was applied last.
	Revision int64  `json:"revision"`
	Term     uint64 `json:"term"`
	Index    uint64 `json:"index"`
	// StorageVersion is the etcd minor that the database is of, as "3.6.0"; older ones than 3.6 don't say.
	StorageVersion string `json:"storageVersion,omitempty"`
}

// lockTimeout bounds waiting for another process that writes to the file.
const lockTimeout = time.Second

// sector is what a database's size is a multiple of.
const sector = 512

// Open reads a snapshot: it must be whole, and its hash right. The digest is of what is in it. Errors wrap [ErrUnfit] when it is not to be restored from.
func Open(ctx context.Context, path string) (f File, d *Digest, err error) {
	defer func() {
		if err != nil {
			f, d, err = File{}, nil, fmt.Errorf("snapshot %q: %w", path, err)
		}
	}()
	if f.Size, f.SHA256, err = whole(ctx, path); err != nil {
		return f, nil, err
	}
	d, err = f.read(ctx, path)
	return f, d, err
}

// whole compares the hash at the end of the file with that of what is before it.
func whole(ctx context.Context, path string) (int64, string, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, "", err
	}
	size := info.Size()
	switch {
	case size == 0:
		return 0, "", fmt.Errorf("it is empty: %w", ErrNotSnapshot)
	case size%sector == 0:
		return 0, "", ErrNoHash
	case size%sector != sha256.Size:
		return 0, "", fmt.Errorf("%d bytes are no whole database and its hash: %w", size, ErrNotSnapshot)
	}
	sum := sha256.New()
	if _, err := io.CopyN(sum, contextReader{ctx, file}, size-sha256.Size); err != nil {
		return 0, "", err
	}
	computed := sum.Sum(nil)
	said := make([]byte, sha256.Size)
	if _, err := io.ReadFull(file, said); err != nil {
		return 0, "", err
	}
	if !bytes.Equal(computed, said) {
		return 0, "", fmt.Errorf("it says %x and is %x: %w", said, computed, ErrHash)
	}
	sum.Write(said)
	return size, hex.EncodeToString(sum.Sum(nil)), nil
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

// The buckets of etcd's database (server/storage/schema).
var (
	keyBucket         = []byte("key")
	metaBucket        = []byte("meta")
	metaIndex         = []byte("consistent_index")
	metaTerm          = []byte("term")
	metaStorageBucket = []byte("storageVersion")
)

// read reads what is in a database. It is only to be called for one whose hash is right: bbolt follows what is written in the pages, wherever that leads. Where it
// notices it panics, and that is an error; somebody who makes a database to deceive it, hash and all, is not kept out.
func (f *File) read(ctx context.Context, path string) (d *Digest, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // the file is mapped into memory
	defer func() {
		if broken := recover(); broken != nil {
			d, err = nil, fmt.Errorf("its database is broken: %v: %w", broken, ErrNotSnapshot)
		}
	}()
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrNotSnapshot)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.View(func(tx *bbolt.Tx) error {
		keys, meta := tx.Bucket(keyBucket), tx.Bucket(metaBucket)
		if keys == nil || meta == nil {
			return fmt.Errorf("its database has no bucket %q or %q: %w", keyBucket, metaBucket, ErrNotSnapshot)
		}
		f.Index, f.Term = number(meta.Get(metaIndex)), number(meta.Get(metaTerm))
		f.StorageVersion = string(meta.Get(metaStorageBucket))
		if last, _ := keys.Cursor().Last(); len(last) >= revisionSize {
			f.Revision = int64(number(last[:8]))
		}
		digester := newDigester()
		d = digester.digest
		return newest(ctx, keys, knownAtOnce, digester.add)
	})
	return d, err
}

func number(raw []byte) uint64 {
	if len(raw) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(raw)
}

// The keys of the bucket are revisions, oldest first: 8 bytes, "_", 8 bytes, and "t" after those at which a key was deleted (server/storage/mvcc/revision.go).
const (
	revisionSize  = 17
	tombstoneSize = 18
)

// knownAtOnce bounds how many keys are remembered: about 20 MB.
const knownAtOnce = 400_000

// newest calls add for what each key was last, unless it was deleted. What was seen of a key is remembered while older revisions are read; where there are more keys than can be
// remembered, the bucket is read several times, each time for a part of them.
func newest(ctx context.Context, keys *bbolt.Bucket, atOnce int, add func(key, value []byte)) error {
	parts := uint64(keys.Stats().KeyN/atOnce + 1)
	seeds := [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	known := map[[2]uint64]struct{}{}
	for part := range parts {
		clear(known)
		cursor := keys.Cursor()
		for at, record := cursor.Last(); at != nil; at, record = cursor.Prev() {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			key, value, err := keyValue(at, record)
			if err != nil {
				return err
			}
			mark := [2]uint64{maphash.Bytes(seeds[0], key), maphash.Bytes(seeds[1], key)}
			if mark[0]%parts != part {
				continue
			}
			if _, ok := known[mark]; ok {
				continue
			}
			known[mark] = struct{}{}
			if len(at) != tombstoneSize {
				add(key, value)
			}
		}
	}
	return nil
}

// Numbers of the fields of mvccpb.KeyValue (go.etcd.io/etcd/api/v3/mvccpb, kv.proto).
const kvKey, kvValue protoField = 1, 5

func keyValue(at, record []byte) (key, value []byte, err error) {
	ok := fields(record, func(n protoField, v []byte) bool {
		switch n {
		case kvKey:
			key = v
		case kvValue:
			value = v
		}
		return true
	})
	if !ok || len(key) == 0 || len(at) != revisionSize && len(at) != tombstoneSize {
		return nil, nil, fmt.Errorf("revision %x of its database is none: %w", at, ErrNotSnapshot)
	}
	return key, value, nil
}
