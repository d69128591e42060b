package backup

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"math/bits"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Digest says what an etcd holds, resource by resource: how many objects, which, and with what in them. It is equal for equal content, in whatever order, at whatever revision and on
// whatever member it is read. It finds what was lost, damaged or mixed up; it is no proof against somebody who makes objects up for it, which the SHA-256 of a [Manifest] is.
type Digest struct {
	// Resources by name, as "deployments.apps".
	Resources map[string]*Resource `json:"resources"`
}

// Objects is how many objects there are in all.
func (d *Digest) Objects() int {
	n := 0
	for _, r := range d.Resources {
		n += r.Objects
	}
	return n
}

// Hash is one hash of all of it, in hexadecimal.
func (d *Digest) Hash() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(d.Resources)) {
		r := d.Resources[name]
		fmt.Fprintf(h, "%q %d %x %x\n", name, r.Objects, r.Identities, r.Values)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Resource is what there is of one resource.
type Resource struct {
	Objects int `json:"objects"`
	// Bytes of their values.
	Bytes int64 `json:"bytes"`
	// Opaque are those whose values can't be read: they are encrypted, so their UIDs are not known. Their names are those of their keys.
	Opaque int `json:"opaque,omitempty"`
	// Namespaces says how many objects are in each; those without are under "".
	Namespaces map[string]int `json:"namespaces"`
	// Identities is over namespace, name and UID of all objects, Values over their keys and values as they are stored.
	Identities Sum `json:"identities"`
	Values     Sum `json:"values"`
}

// Sum is a hash of a set: the sum of the hashes of its elements, which their order does not change.
type Sum [4]uint64

// add adds a hash.
func (s *Sum) add(h *[sha256.Size]byte) {
	var one Sum
	for i := range one {
		one[i] = binary.LittleEndian.Uint64(h[8*i:])
	}
	s.plus(one)
}

// plus adds another sum, modulo 2^256.
func (s *Sum) plus(other Sum) {
	var carry uint64
	for i := range s {
		s[i], carry = bits.Add64(s[i], other[i], carry)
	}
}

// MarshalText writes it in hexadecimal.
func (s Sum) MarshalText() ([]byte, error) {
	var raw [sha256.Size]byte
	for i, word := range s {
		binary.LittleEndian.PutUint64(raw[8*i:], word)
	}
	return hex.AppendEncode(nil, raw[:]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *Sum) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("%q is not the hash of a set: expected %d hexadecimal digits", text, 2*sha256.Size)
	}
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return nil
}

// restless are resources that change without anybody's doing, so that two digests of a cluster differ in them: events, leases, the addresses of API servers, and what the API
// server's compactor notes.
func restless(resource string) bool {
	switch resource {
	case "events", "leases.coordination.k8s.io", "masterleases", compactor:
		return true
	}
	return false
}

// Difference is a resource in which two digests differ.
type Difference struct {
	Resource string `json:"resource"`
	// Objects are how many there are in the one and in the other.
	Objects [2]int `json:"objects"`
	// Identities is true when they are not the same objects. Otherwise what is in them is not the same.
	Identities bool `json:"identities"`
}

func (d Difference) String() string {
	switch {
	case d.Objects[0] != d.Objects[1]:
		return fmt.Sprintf("%s: %d and %d objects", d.Resource, d.Objects[0], d.Objects[1])
	case d.Identities:
		return fmt.Sprintf("%s: %d objects each, and not the same ones", d.Resource, d.Objects[0])
	}
	return fmt.Sprintf("%s: the same %d objects, and not the same in them", d.Resource, d.Objects[0])
}

// Compare lists the resources in which two digests differ, sorted. Those that change without anybody's doing are left out unless all are wanted.
func Compare(a, b *Digest, all bool) []Difference {
	var found []Difference
	none := &Resource{}
	for _, name := range slices.Sorted(maps.Keys(union(a.Resources, b.Resources))) {
		x, y := cmp.Or(a.Resources[name], none), cmp.Or(b.Resources[name], none)
		if !all && restless(name) || x.Objects == y.Objects && x.Identities == y.Identities && x.Values == y.Values {
			continue
		}
		found = append(found, Difference{Resource: name, Objects: [2]int{x.Objects, y.Objects}, Identities: x.Identities != y.Identities})
	}
	return found
}

func union(a, b map[string]*Resource) map[string]*Resource {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// digester makes a digest of one object after the other. Its memory does not depend on how many there are.
type digester struct {
	digest  *Digest
	hash    hash.Hash
	scratch []byte
}

func newDigester() *digester {
	return &digester{digest: &Digest{Resources: map[string]*Resource{}}, hash: sha256.New()}
}

func (d *digester) add(key, value []byte) {
	id := identify(key, value)
	r := d.digest.Resources[id.resource]
	if r == nil {
		r = &Resource{Namespaces: map[string]int{}}
		d.digest.Resources[id.resource] = r
	}
	r.Objects++
	r.Bytes += int64(len(value))
	r.Namespaces[id.namespace]++
	if id.opaque {
		r.Opaque++
	}
	d.sum(&r.Identities, []byte(id.namespace), []byte(id.name), []byte(id.uid))
	d.sum(&r.Values, key, value)
}

// sum adds an element of several parts to a sum, each with its length before it.
func (d *digester) sum(to *Sum, parts ...[]byte) {
	d.hash.Reset()
	for _, part := range parts {
		d.scratch = binary.AppendUvarint(d.scratch[:0], uint64(len(part)))
		d.hash.Write(d.scratch)
		d.hash.Write(part)
	}
	d.scratch = d.hash.Sum(d.scratch[:0])
	to.add((*[sha256.Size]byte)(d.scratch))
}

const (
	// firstPage is how many objects are asked for at first.
	firstPage = 100
	// pageBytes is how much an answer is to have. Etcd looks at every key that follows for each, so there are not to be many answers; and two are in memory at a time.
	pageBytes = 8 << 20
)

// entry is an object as it is stored.
type entry struct{ key, value []byte }

// entriesAtOnce and bytesAtOnce are how much is handed over at a time, at most and about.
const (
	entriesAtOnce = 64
	bytesAtOnce   = 1 << 20
)

// digestOf makes the digest of what read adds, on all processors: sums don't depend on the order. What was added stays readable until digestOf returns. A fault in reading it, where it is a
// file that is mapped into memory, panics here, as one in read does.
func digestOf(read func(add func(key, value []byte)) error) (*Digest, error) {
	work := make(chan []entry, runtime.GOMAXPROCS(0))
	parts := make([]*digester, runtime.GOMAXPROCS(0))
	broken := make([]any, len(parts))
	var hashing sync.WaitGroup
	for i := range parts {
		parts[i] = newDigester()
		hashing.Go(func() { broken[i] = parts[i].addAll(work) })
	}
	err := func() error {
		defer hashing.Wait()
		defer close(work)
		batch, size := make([]entry, 0, entriesAtOnce), 0
		err := read(func(key, value []byte) {
			batch = append(batch, entry{key, value})
			if size += len(value); len(batch) == entriesAtOnce || size >= bytesAtOnce {
				work <- batch
				batch, size = make([]entry, 0, entriesAtOnce), 0
			}
		})
		work <- batch
		return err
	}()
	for _, b := range broken {
		if b != nil {
			panic(b)
		}
	}
	if err != nil {
		return nil, err
	}
	digest := parts[0].digest
	for _, part := range parts[1:] {
		digest.merge(part.digest)
	}
	return digest, nil
}

// addAll adds all that comes. When that panics it says with what, and adds no more of it.
func (d *digester) addAll(work <-chan []entry) (broken any) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // which is so for one goroutine only
	defer func() {
		broken = recover()
		for range work { //nolint:revive // whoever sends is not to wait for ever
		}
	}()
	for batch := range work {
		for _, e := range batch {
			d.add(e.key, e.value)
		}
	}
	return nil
}

// merge adds what another digest has of other objects.
func (d *Digest) merge(other *Digest) {
	for name, from := range other.Resources {
		to := d.Resources[name]
		if to == nil {
			d.Resources[name] = from
			continue
		}
		to.Objects += from.Objects
		to.Bytes += from.Bytes
		to.Opaque += from.Opaque
		for namespace, n := range from.Namespaces {
			to.Namespaces[namespace] += n
		}
		to.Identities.plus(from.Identities)
		to.Values.plus(from.Values)
	}
}

// OfCluster makes the digest of a running etcd, as it is or was at a revision; 0 is now.
func OfCluster(ctx context.Context, kv clientv3.KV, revision int64) (*Digest, error) {
	return digestOf(func(add func(key, value []byte)) error { return readPages(ctx, kv, revision, add) })
}

// readPages adds all that an etcd has, which it asks for in parts.
func readPages(ctx context.Context, kv clientv3.KV, revision int64, add func(key, value []byte)) error {
	limit := int64(firstPage)
	for from := "\x00"; ; {
		page, err := kv.Get(ctx, from, clientv3.WithFromKey(), clientv3.WithLimit(limit), clientv3.WithRev(revision))
		if err != nil {
			return fmt.Errorf("read etcd from %q: %w", strings.TrimSuffix(from, "\x00"), err)
		}
		for _, kv := range page.Kvs {
			add(kv.Key, kv.Value)
		}
		if !page.More {
			return nil
		}
		if revision == 0 {
			revision = page.Header.Revision // which is that of now, whatever was asked for
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
		limit = max(1, limit*pageBytes/int64((*etcdserverpb.RangeResponse)(page).Size()))
	}
}
