package restore

import (
	"context"
	"fmt"
	"slices"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/procedure"
)

// keepPKI writes what the control planes share of certificates and keys, as a node has it, to a file beside the snapshot that its owner alone reads. It lists the files that are in it
// and can be used. An authority whose key is kept elsewhere is in it without.
func keepPKI(ctx context.Context, env *procedure.Env, node, file string) ([]string, error) {
	files, err := sharedFiles(ctx, env, node)
	if err != nil || len(files) == 0 {
		return []string{}, err
	}
	if err := backup.WritePKI(file, files); err != nil {
		return nil, fmt.Errorf("keep the certificate authorities of %s: %w", node, err)
	}
	kept, err := backup.ReadPKI(node, file)
	return paths(kept), err
}

// sharedFiles are what the control planes share of certificates and keys, as a node has it; none where nobody can look, or on no node.
func sharedFiles(ctx context.Context, env *procedure.Env, node string) ([]cluster.CertificateFile, error) {
	operator, ok := env.Cluster.(cluster.CertOperator)
	if !ok || node == "" {
		return nil, nil
	}
	files, err := operator.CertificateFiles(ctx, node)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(files, func(f cluster.CertificateFile) bool { return !slices.Contains(certs.Shared(), f.Path) }), nil
}

func paths(files []cluster.CertificateFile) []string {
	all := []string{}
	for _, f := range files {
		all = append(all, f.Path)
	}
	return all
}
