package backup

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// held is a Scratch in which every snapshot restores to what is in one member.
type held struct {
	dir      string
	member   Member
	database string // what it leaves; "" is what the member holds
	ended    int
	err      error
}

func (h *held) Restore(ctx context.Context, _ string, look func(*clientv3.Client) error) (string, func() error, error) {
	end := func() error { h.ended++; return nil }
	if h.err != nil || h.database != "" {
		return h.database, end, errors.Join(h.err, look(h.member.Client))
	}
	path := filepath.Join(h.dir, "db")
	err := fetch(ctx, h.member.Client, path, streamIdle)
	return path, end, errors.Join(err, look(h.member.Client))
}

// TestVerify: a snapshot is proven when it restores to what its manifest says; otherwise it is said what differs.
func TestVerify(t *testing.T) {
	g := NewWithT(t)
	m := start(t)
	put(t, m, content(t))
	path, manifest := taken(t, m)
	restored := &held{dir: t.TempDir(), member: m}

	v, err := Verify(t.Context(), path, restored)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Manifest).To(Equal(manifest))
	g.Expect(*v.Digest).To(Equal(manifest.Digest))
	g.Expect(v.Unchecked).To(Equal([]string{"whether 1 encrypted values can be decrypted"}))
	g.Expect(restored.ended).To(Equal(1))

	// an object less came back
	_, err = m.Client.Delete(t.Context(), "/registry/minions/worker-1")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = Verify(t.Context(), path, restored)
	g.Expect(err).To(MatchError(ErrDiffers))
	g.Expect(err).To(MatchError(ContainSubstring("its manifest and what was restored differ: nodes: 1 and 0 objects")))
	g.Expect(restored.ended).To(Equal(2))

	// it has all in its database, and does not serve it
	restored.database = path
	_, err = Verify(t.Context(), path, restored)
	g.Expect(err).To(MatchError(ContainSubstring("the etcd that it was restored into served 9 keys, and has 10 in its database")))
	restored.database = ""
	put(t, m, content(t))

	// it is of a later etcd than the one that it would be restored into
	for said, newer := range map[string]bool{"": false, "3.6.0": false, "3.7.0": true, "4.0.0": true} {
		g.Expect(File{StorageVersion: said}.newer("3.6.16")).To(Equal(newer), said)
	}
	_, err = File{StorageVersion: "three"}.newer("3.6.16")
	g.Expect(err).To(HaveOccurred())

	// it does not restore
	restored.err = errors.New("no space left on device")
	_, err = Verify(t.Context(), path, restored)
	g.Expect(err).To(MatchError(restored.err))
	restored.err = nil

	// the manifest says something else, is of another snapshot, is none, and is not there
	said := func(change func(*Manifest)) error {
		other := &Manifest{}
		raw, err := json.Marshal(manifest)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(json.Unmarshal(raw, other)).To(Succeed())
		change(other)
		raw, err = json.Marshal(other)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(os.WriteFile(path+ManifestSuffix, raw, 0o600)).To(Succeed())
		_, err = Verify(t.Context(), path, restored)
		return err
	}
	g.Expect(said(func(*Manifest) {})).To(Succeed())
	g.Expect(said(func(m *Manifest) { m.Digest.Resources["secrets"].Values[0]++ })).To(MatchError(ContainSubstring("its manifest and what was restored differ: secrets: the same 1 objects, and not the same in them")))
	g.Expect(said(func(m *Manifest) { m.File.SHA256 = "ab" })).To(MatchError(ContainSubstring("its manifest is of another one, with the SHA-256 ab")))
	g.Expect(os.WriteFile(path+ManifestSuffix, []byte("{"), 0o600)).To(Succeed())
	_, err = Verify(t.Context(), path, restored)
	g.Expect(err).To(MatchError(ContainSubstring("read the manifest")))
	g.Expect(os.Remove(path + ManifestSuffix)).To(Succeed())
	v, err = Verify(t.Context(), path, restored)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Unchecked).To(ContainElement(ContainSubstring("there is no manifest beside it")))
	_, err = m.Client.Delete(t.Context(), "/registry/minions/worker-1")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = Verify(t.Context(), path, restored)
	g.Expect(err).To(MatchError(ContainSubstring("what is in the file and what was restored differ: nodes: 1 and 0 objects")))
}

// TestVerifyNewer: a snapshot of an etcd that is newer than ours is not proven, and is not said to be broken.
func TestVerifyNewer(t *testing.T) {
	g := NewWithT(t)
	m := start(t)
	_, raw := nightly(t, m)
	database := filepath.Join(t.TempDir(), "db")
	g.Expect(os.WriteFile(database, raw[:len(raw)-sha256.Size], 0o600)).To(Succeed())
	db, err := bbolt.Open(database, 0o600, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(metaStorageBucket, []byte("3.99.0")) })).To(Succeed())
	g.Expect(db.Close()).To(Succeed())
	raw, err = os.ReadFile(database)
	g.Expect(err).NotTo(HaveOccurred())
	hash := sha256.Sum256(raw)
	newer := filepath.Join(t.TempDir(), "newer.db")
	g.Expect(os.WriteFile(newer, append(raw, hash[:]...), 0o600)).To(Succeed())

	_, err = Verify(t.Context(), newer, &held{dir: t.TempDir(), member: m}) // which may have begun before it is known what the file is of
	g.Expect(err).To(MatchError(ErrNewer))
	g.Expect(err).NotTo(MatchError(ErrUnfit))
	g.Expect(err).To(MatchError(ContainSubstring("it is of etcd 3.99.0")))
}
