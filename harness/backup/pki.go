package backup

import (
	"archive/tar"
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
func WritePKI(file string, files []cluster.CertificateFile) (err error) {
	to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	archive := tar.NewWriter(to)
	for _, f := range files {
		header := tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: int64(f.Mode.Perm()), Size: int64(len(f.Content)), ModTime: f.Written}
		if err := archive.WriteHeader(&header); err != nil {
			return err
		}
		if _, err := archive.Write(f.Content); err != nil {
			return err
		}
	}
	return archive.Close()
}

// ReadPKI lists the files in an archive of [WritePKI] that can be used. An authority whose key is kept elsewhere is in it without. node is where it is from, for what is said.
func ReadPKI(node, file string) ([]string, error) {
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
	usable := []string{}
	for _, f := range files {
		usable = append(usable, f.Path)
	}
	for _, d := range certs.Read(node, files).Found() {
		if d.Problem != "" {
			usable = slices.DeleteFunc(usable, func(path string) bool { return path == d.Path })
		}
	}
	slices.Sort(usable)
	return usable, nil
}

// PKIBelow reads what control planes share of certificates and keys in a folder that is as /etc/kubernetes/pki of a control plane. The error names the first that can't be read: an
// authority's key may be kept elsewhere on purpose, all else has to be there.
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
	return files, nil
}
