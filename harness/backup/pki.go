package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
)

// PKISuffix is what the name of the file beside a snapshot ends with that has the cluster's authorities and keys.
const PKISuffix = ".pki.tar"

// WritePKI writes certificates and keys, each by where it is on a node, to a file that its owner alone reads.
func WritePKI(file string, files []cluster.CertificateFile) error {
	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	for _, f := range files {
		header := tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: int64(f.Mode.Perm()), Size: int64(len(f.Content)), ModTime: f.Written}
		if err := archive.WriteHeader(&header); err != nil {
			return err
		}
		if _, err := archive.Write(f.Content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return write(file, content.Bytes())
}

// ReadPKI gives the files in an archive of [WritePKI] that can be used, by their paths. An authority whose key is kept elsewhere is among them without. node is where they are from, for what is
// said.
func ReadPKI(node, file string) ([]cluster.CertificateFile, error) {
	from, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	var files []cluster.CertificateFile
	archive := tar.NewReader(from)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("read %s of %s: %w", header.Name, file, err)
		}
		files = append(files, cluster.CertificateFile{Path: "/" + header.Name, Mode: fs.FileMode(header.Mode), Written: header.ModTime, Content: content})
	}
	for path := range problems(node, files) {
		files = slices.DeleteFunc(files, func(f cluster.CertificateFile) bool { return f.Path == path })
	}
	slices.SortFunc(files, func(a, b cluster.CertificateFile) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// problems says why files of a node can't be used, by their paths.
func problems(node string, files []cluster.CertificateFile) map[string]string {
	found := map[string]string{}
	for _, d := range certs.Read(node, files).Found() {
		if d.Problem != "" {
			found[d.Path] = d.Problem
		}
	}
	return found
}

// PKIBelow reads what control planes share of certificates and keys in a folder that is as /etc/kubernetes/pki of a control plane. Each can be used, and only the key of an authority may be
// missing: it may be kept elsewhere on purpose.
func PKIBelow(dir string) ([]cluster.CertificateFile, error) {
	var files []cluster.CertificateFile
	for _, path := range certs.Shared() {
		at := filepath.Join(dir, strings.TrimPrefix(path, "/etc/kubernetes/pki/"))
		content, err := os.ReadFile(at)
		if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(path, "ca.key") {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the certificate authorities: %w", err)
		}
		info, err := os.Stat(at)
		if err != nil {
			return nil, fmt.Errorf("read the certificate authorities: %w", err)
		}
		files = append(files, cluster.CertificateFile{Path: path, Mode: info.Mode(), Written: info.ModTime(), Content: content})
	}
	for path, problem := range problems(dir, files) {
		return nil, fmt.Errorf("read the certificate authorities: %s can't be used: %s", filepath.Join(dir, strings.TrimPrefix(path, "/etc/kubernetes/pki/")), problem)
	}
	return files, nil
}
