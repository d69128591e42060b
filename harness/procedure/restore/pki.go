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
	operator, ok := env.Cluster.(cluster.CertOperator)
	if !ok {
		return []string{}, nil
	}
	files, err := operator.CertificateFiles(ctx, node)
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f cluster.CertificateFile) bool { return !slices.Contains(certs.Shared(), f.Path) })
	if err := backup.WritePKI(file, files); err != nil {
		return nil, fmt.Errorf("keep the certificate authorities of %s: %w", node, err)
	}
	return backup.ReadPKI(node, file)
}
