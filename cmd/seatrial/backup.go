package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	certutil "k8s.io/client-go/util/cert"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/sim/embedded"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/scratch"
)

func newBackupCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "backup",
		Short: "Take snapshots of etcd, prove them, and look into them",
		Long:  "Snapshots of the etcd of any cluster, for which it is only read. Who may read one reads every Secret in it.",
		Args:  subcommand,
		RunE:  help,
	}
	c.AddCommand(newBackupTakeCommand(a), newBackupVerifyCommand(a), newBackupInspectCommand(a))
	return c
}

// etcdFlags say where an etcd is, as etcdctl takes them.
type etcdFlags struct {
	endpoints []string
	tls       transport.TLSInfo
}

func (f *etcdFlags) register(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.endpoints, "endpoints", []string{"127.0.0.1:2379"}, "the members of etcd, all of them: who is behind is found by asking the others")
	c.Flags().StringVar(&f.tls.TrustedCAFile, "cacert", "", "file with the authorities that the members' certificates are from")
	c.Flags().StringVar(&f.tls.CertFile, "cert", "", "file with the client certificate")
	c.Flags().StringVar(&f.tls.KeyFile, "key", "", "file with its key")
}

// connectTimeout bounds the first connection to a member.
const connectTimeout = 5 * time.Second

// members makes a client for each endpoint. The error joins what is wrong with the files.
func (f *etcdFlags) members(ctx context.Context) (members []backup.Member, err error) {
	config := clientv3.Config{Context: ctx, DialTimeout: connectTimeout, Logger: zap.NewNop(), DialOptions: []grpc.DialOption{grpc.WithNoProxy()}}
	if !f.tls.Empty() || f.tls.TrustedCAFile != "" {
		config.TLS, err = f.tls.ClientConfig()
		if f.tls.TrustedCAFile != "" && err == nil {
			_, err = certutil.CertsFromFile(f.tls.TrustedCAFile) // ClientConfig takes any file for one without certificates
		}
		if err != nil {
			return nil, usageError{fmt.Errorf("read the certificates of etcd's client: %w", err)}
		}
	}
	for _, endpoint := range f.endpoints {
		config.Endpoints = []string{endpoint}
		client, err := clientv3.New(config)
		if err != nil {
			return nil, errors.Join(usageError{fmt.Errorf("--endpoints %q: %w", endpoint, err)}, closeMembers(members))
		}
		members = append(members, backup.Member{Endpoint: endpoint, Client: client, TLS: config.TLS})
	}
	return members, nil
}

func closeMembers(members []backup.Member) error {
	var errs []error
	for _, m := range members {
		errs = append(errs, m.Client.Close())
	}
	return errors.Join(errs...)
}

func newBackupTakeCommand(a *app) *cobra.Command {
	var f etcdFlags
	var member, output string
	c := &cobra.Command{
		Use:   "take FILE",
		Short: "Take a snapshot of etcd, with a manifest beside it",
		Long: "Ask the members how they are, take a snapshot from one that has all that the others have, and write it to FILE, and to\n" +
			"FILE.manifest.json what it is of: when, from whom, its hash, and how many objects of which resource are in it, with a digest\n" +
			"of them. Until it is whole it has another name.",
		Example: "  seatrial backup take snapshot.db --endpoints https://10.0.0.1:2379,https://10.0.0.2:2379,https://10.0.0.3:2379 \\\n" +
			"    --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt --key /etc/kubernetes/pki/etcd/server.key",
		Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if err := checkOutput(output); err != nil {
				return err
			}
			members, err := f.members(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closeMembers(members)) }()
			from, err := backup.Choose(c.Context(), members, member)
			if err != nil {
				return err
			}
			manifest, err := backup.Take(c.Context(), from, args[0], time.Now)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.stdout, manifest)
			}
			fmt.Fprintf(a.stdout, "%s  %.1f MB from %s, etcd %s\n", args[0], float64(manifest.File.Size)/1e6, manifest.Endpoint, manifest.EtcdVersion)
			return writeResources(a.stdout, manifest.File, &manifest.Digest)
		},
	}
	f.register(c)
	c.Flags().StringVar(&member, "member", "", "take it from this one of the endpoints, or not at all")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

func newBackupVerifyCommand(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Prove a snapshot by restoring it",
		Long: "Look whether the hash of a snapshot is right, restore it into an etcd that is thrown away, and compare what is there then, object\n" +
			"by object, with FILE.manifest.json. What could not be looked at is said. A snapshot that is not to be restored from exits 4.",
		Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			supervisor, err := a.processes(c.Context())
			if err != nil {
				return err
			}
			v, err := backup.Verify(c.Context(), args[0], scratchEtcd(supervisor))
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.stdout, v)
			}
			fmt.Fprintf(a.stdout, "%s was restored, and holds what it is to hold\n", args[0])
			for _, what := range v.Unchecked {
				fmt.Fprintf(a.stdout, "not looked at: %s\n", what)
			}
			return writeResources(a.stdout, v.File, v.Digest)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

// scratchEtcd is where backups are restored to be proven.
func scratchEtcd(s *proc.Supervisor) scratch.Etcd {
	return scratch.Etcd{Supervisor: s, Entry: embedded.EtcdEntry, Ready: embedded.EtcdReady}
}

// inspected is what backup inspect says.
type inspected struct {
	File   backup.File    `json:"file"`
	Digest *backup.Digest `json:"digest"`
}

func newBackupInspectCommand(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Say what is in a snapshot, by resource and namespace",
		Long: "Look whether the hash of a snapshot is right, and say what is in it. A file without a hash is refused: nothing says that it\n" +
			"is whole. It is not restored for that.",
		Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			file, digest, err := backup.Open(c.Context(), args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.stdout, inspected{file, digest})
			}
			return writeResources(a.stdout, file, digest)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

// writeResources writes a line for each resource in each namespace.
func writeResources(w io.Writer, file backup.File, digest *backup.Digest) error {
	fmt.Fprintf(w, "revision %d, sha256 %s\n\n", file.Revision, file.SHA256)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RESOURCE\tNAMESPACE\tOBJECTS")
	for _, name := range slices.Sorted(maps.Keys(digest.Resources)) {
		r := digest.Resources[name]
		for _, namespace := range slices.Sorted(maps.Keys(r.Namespaces)) {
			fmt.Fprintf(table, "%s\t%s\t%d\n", name, namespace, r.Namespaces[namespace])
		}
	}
	return table.Flush()
}
