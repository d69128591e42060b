package restore

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/procedure"
)

// pkiSuffix is what the file beside a snapshot ends with that has the cluster's authorities and keys.
const pkiSuffix = ".pki.tar"

// keepPKI writes what the control planes share of certificates and keys, as a node has it, to a file beside the snapshot that its owner alone reads. It lists the files that are in it
// and can be used. An authority whose key is kept elsewhere is in it without.
func keepPKI(ctx context.Context, env *procedure.Env, node, file string) ([]string, error) {
	operator, ok := env.Cluster.(cluster.CertOperator)
	if !ok {
		return []string{}, nil
	}
	files, err := operator.CertificateFiles(ctx, node)
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f cluster.CertificateFile) bool { return !slices.Contains(certs.Shared(), f.Path) })
	if err := writePKI(file, files); err != nil {
		return nil, fmt.Errorf("keep the certificate authorities of %s: %w", node, err)
	}
	return readPKI(node, file)
}

func writePKI(file string, files []cluster.CertificateFile) (err error) {
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

// readPKI lists the files in an archive of writePKI that can be used.
func readPKI(node, file string) ([]string, error) {
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
