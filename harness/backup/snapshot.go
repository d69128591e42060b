package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/maphash"
	"io"
	"maps"
	"os"
	"runtime/debug"
	"syscall"
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
func Open(ctx context.Context, path string) (File, *Digest, error) {
	f, err := whole(ctx, path)
	if err != nil {
		return File{}, nil, fmt.Errorf("snapshot %q: %w", path, err)
	}
	d, err := f.read(ctx, path)
	if err != nil {
		return File{}, nil, fmt.Errorf("snapshot %q: %w", path, err)
	}
	return f, d, nil
}

// whole compares the hash at the end of the file with that of what is before it.
func whole(ctx context.Context, path string) (File, error) {
	file, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer file.Close()
	s := newSeal()
	if _, err := io.Copy(s, contextReader{ctx, file}); err != nil {
		return File{}, err
	}
	return s.file()
}

// seal takes a snapshot's bytes as they come, and says in the end whether the hash after them is theirs.
type seal struct {
	size int64
	sum  hash.Hash // of all bytes but those in end
	end  []byte    // the last bytes, of which nobody knows yet whether they are the hash
}

func newSeal() *seal { return &seal{sum: sha256.New()} }

// Write implements io.Writer.
func (s *seal) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	if over := len(s.end) + len(p) - sha256.Size; over > 0 {
		old := min(over, len(s.end))
		s.sum.Write(s.end[:old])
		s.sum.Write(p[:over-old])
		s.end = append(s.end[:0], s.end[old:]...)
		s.end = append(s.end, p[over-old:]...)
	} else {
		s.end = append(s.end, p...)
	}
	return len(p), nil
}

// file is what was written, as far as that can be told without looking into it.
func (s *seal) file() (File, error) {
	switch {
	case s.size == 0:
		return File{}, fmt.Errorf("it is empty: %w", ErrNotSnapshot)
	case s.size%sector == 0:
		return File{}, ErrNoHash
	case s.size%sector != sha256.Size:
		return File{}, fmt.Errorf("%d bytes are no whole database and its hash: %w", s.size, ErrNotSnapshot)
	}
	if computed := s.sum.Sum(nil); !bytes.Equal(computed, s.end) {
		return File{}, fmt.Errorf("it says %x and is %x: %w", s.end, computed, ErrHash)
	}
	s.sum.Write(s.end)
	return File{Size: s.size, SHA256: hex.EncodeToString(s.sum.Sum(nil))}, nil
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

// read reads what is in a database, as view does, and makes the digest of it.
func (f *File) read(ctx context.Context, path string) (*Digest, error) {
	var d *Digest
	err := f.view(path, func(keys *bbolt.Bucket) (err error) {
		d, err = digestOf(func(add func(key, value []byte)) error { return newest(ctx, keys, knownAtOnce, add) })
		return err
	})
	return d, err
}

// view reads what a database says of itself, and has do read its keys. It is only to be relied on for one whose hash is right, or that etcd has served: bbolt follows what is written in the
// pages, wherever that leads. Where it notices it panics, and that is an error; somebody who makes a database to deceive it, hash and all, is not kept out.
func (f *File) view(path string, do func(keys *bbolt.Bucket) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // the file is mapped into memory
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("its database is broken: %v: %w", broken, ErrNotSnapshot)
		}
	}()
	// All of it is read: mapped at once that takes fewer faults.
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout, MmapFlags: syscall.MAP_POPULATE})
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrNotSnapshot)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bbolt.Tx) error {
		keys, meta := tx.Bucket(keyBucket), tx.Bucket(metaBucket)
		if keys == nil || meta == nil {
			return fmt.Errorf("its database has no bucket %q or %q: %w", keyBucket, metaBucket, ErrNotSnapshot)
		}
		f.Index, f.Term = number(meta.Get(metaIndex)), number(meta.Get(metaTerm))
		f.StorageVersion = string(meta.Get(metaStorageBucket))
		if last, _ := keys.Cursor().Last(); len(last) >= revisionSize {
			f.Revision = int64(number(last[:8]))
		}
		return do(keys)
	})
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

// share is a part of the keys: those whose mark has a remainder.
type share struct {
	modulus, remainder uint64
	// done is the oldest revision at which what was newest of them is added already; nil when none is.
	done []byte
}

// newest calls add for what each key was last, unless it was deleted. What was seen of a key is remembered while older revisions are read. Where there are more keys than can be
// remembered, half of them are forgotten, and the bucket is read once more for that half.
func newest(ctx context.Context, keys *bbolt.Bucket, atOnce int, add func(key, value []byte)) error {
	seeds := [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	known := map[[2]uint64]struct{}{}
	for left := []share{{modulus: 1}}; len(left) > 0; {
		now := left[len(left)-1]
		left = left[:len(left)-1]
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
			if mark[0]%now.modulus != now.remainder {
				continue
			}
			if _, ok := known[mark]; ok {
				continue
			}
			known[mark] = struct{}{}
			reached := now.done == nil || bytes.Compare(at, now.done) < 0
			if reached && len(at) != tombstoneSize {
				add(key, value)
			}
			for len(known) > atOnce && now.modulus < 1<<62 {
				other := share{modulus: 2 * now.modulus, remainder: now.remainder + now.modulus, done: now.done}
				if reached {
					other.done = at
				}
				left = append(left, other)
				now.modulus = other.modulus
				maps.DeleteFunc(known, func(mark [2]uint64, _ struct{}) bool { return mark[0]%now.modulus != now.remainder })
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
