package kind

import (
	"archive/tar"
	"bytes"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/cluster"
)

// TestManifestsIn: a kubelet reads a file whatever it is called, but none that begins with a dot, and no folder.
func TestManifestsIn(t *testing.T) {
	g := NewWithT(t)
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd, namespace: kube-system}\n"
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range []struct{ name, text string }{
		{"./etcd.yaml.bak", pod}, {"./etcd.yaml", pod}, {"./.etcd.yaml.swp", pod}, {"./README", "Don't touch."}, {"./old/etcd.yaml", pod},
		{"./vip.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: vip}\n"},
	} {
		g.Expect(w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.text))})).To(Succeed())
		_, err := w.Write([]byte(f.text))
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(w.WriteHeader(&tar.Header{Name: "./old/", Typeflag: tar.TypeDir})).To(Succeed())
	g.Expect(w.Close()).To(Succeed())
	entries, err := unpack(&archive)
	g.Expect(err).NotTo(HaveOccurred())
	files := byPath(entries)
	g.Expect(files).To(HaveKeyWithValue("etcd.yaml", []byte(pod)))
	g.Expect(manifestsIn(files)).To(Equal([]cluster.Manifest{
		{File: "README"}, {File: "etcd.yaml", Pod: "kube-system/etcd"}, {File: "etcd.yaml.bak", Pod: "kube-system/etcd"}, {File: "vip.yaml", Pod: "default/vip"},
	}))
	_, err = unpack(bytes.NewReader(make([]byte, 100)))
	g.Expect(err).To(HaveOccurred(), "half an archive")
}
