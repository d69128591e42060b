package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	certutil "k8s.io/client-go/util/cert"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/harness/cluster"
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

// A snapshot is a long stream: what may be under way without an answer, and what is read at a time, in bytes. By default both are what small requests need, and take took a tenth longer.
const (
	window     = 8 << 20
	readBuffer = 512 << 10
)

// How often a member is asked whether it is still there while nothing comes from it, and how long it may take to answer: etcdctl's.
const (
	keepAlive        = 2 * time.Second
	keepAliveTimeout = 6 * time.Second
)

// members makes a client for each endpoint. The error joins what is wrong with the files.
func (f *etcdFlags) members(ctx context.Context) (members []backup.Member, err error) {
	config := clientv3.Config{Context: ctx, DialTimeout: connectTimeout, DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: keepAliveTimeout, Logger: zap.NewNop(), DialOptions: []grpc.DialOption{
		grpc.WithNoProxy(), grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window), grpc.WithReadBufferSize(readBuffer),
	}}
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

// storeFlags say where object storage is. Who may use it is said as the AWS CLI takes it: in the environment, or in ~/.aws/credentials.
type storeFlags struct{ endpoint, region string }

func (f *storeFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.endpoint, "s3-endpoint", "", "URL of the object storage that s3://BUCKET/KEY is in (default: AWS_ENDPOINT_URL_S3, or AWS's)")
	c.Flags().StringVar(&f.region, "s3-region", "", "region of the bucket (default: AWS_REGION, or what the storage says)")
}

// objectStorage is how help texts say where a snapshot in object storage is.
const objectStorage = "FILE may be s3://BUCKET/KEY, in S3-compatible object storage. Its keys are those of the environment (AWS_ACCESS_KEY_ID,\n" +
	"AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), of ~/.aws/credentials, or of the pod's service account (AWS_WEB_IDENTITY_TOKEN_FILE)."

// client makes a client of the object storage that an address is in; nil for the name of a file.
func (f *storeFlags) client(address string) (*backup.Store, error) {
	if !backup.InStore(address) {
		return nil, nil
	}
	if err := backup.CheckAddress(address); err != nil {
		return nil, usageError{err}
	}
	sources := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	if os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" { // without it, a server that may not be there would be asked for keys
		sources = append(sources, &credentials.IAM{})
	}
	store, err := backup.NewStore(backup.StoreOptions{
		Endpoint: cmp.Or(f.endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL")), Region: cmp.Or(f.region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		Credentials: credentials.NewChainCredentials(sources),
	})
	if err != nil {
		return nil, usageError{err}
	}
	return store, nil
}

// got gives the file that a snapshot is in. One in object storage is copied to a folder that goes with this process.
func (f *storeFlags) got(ctx context.Context, a *app, address string) (path string, end func() error, err error) {
	store, err := f.client(address)
	if err != nil {
		return "", nil, err
	}
	if store == nil {
		return address, func() error { return nil }, nil
	}
	dir, end, err := a.backupFolder(ctx)
	if err != nil {
		return "", nil, err
	}
	if path, err = store.Get(ctx, address, dir); err != nil {
		return "", nil, errors.Join(err, end())
	}
	return path, end, nil
}

// backupFolder is a private folder for backups, which goes with this process.
func (a *app) backupFolder(ctx context.Context) (dir string, end func() error, err error) {
	supervisor, err := a.processes(ctx)
	if err != nil {
		return "", nil, err
	}
	dir, err = supervisor.TempDir("", "seatrial-backup-*")
	return dir, func() error { return supervisor.RemoveDir(dir) }, err
}

// takeBackup takes a snapshot from a member to a file or, with a store, to an address in it. Certificates and keys, if there are any, are kept beside it.
func (a *app) takeBackup(ctx context.Context, from backup.Member, store *backup.Store, to string, pki []cluster.CertificateFile) (_ *backup.Manifest, err error) {
	path := to
	if store != nil {
		dir, end, failed := a.backupFolder(ctx)
		if failed != nil {
			return nil, failed
		}
		defer func() { err = errors.Join(err, end()) }()
		path = filepath.Join(dir, "snapshot.db")
	}
	beside := path + backup.PKISuffix
	if len(pki) > 0 {
		partial := beside + ".partial"
		defer func() { // keys stay beside no snapshot
			if failed := os.Remove(partial); !errors.Is(failed, fs.ErrNotExist) {
				err = errors.Join(err, failed)
			}
		}()
		if err := backup.WritePKI(partial, pki); err != nil {
			return nil, err
		}
	}
	manifest, err := backup.Take(ctx, from, path, time.Now)
	if err == nil && len(pki) > 0 {
		err = os.Rename(beside+".partial", beside)
	}
	if err != nil || store == nil {
		return manifest, err
	}
	if len(pki) > 0 {
		if err := store.PutBeside(ctx, beside, to, backup.PKISuffix); err != nil {
			return nil, err
		}
	}
	_, err = store.Put(ctx, path, to) // last, for with it the backup counts as whole
	return manifest, err
}

func newBackupTakeCommand(a *app) *cobra.Command {
	var f etcdFlags
	var s storeFlags
	var member, pki, output string
	c := &cobra.Command{
		Use:   "take FILE",
		Short: "Take a snapshot of etcd, with a manifest beside it",
		Long: "Ask the members how they are, take a snapshot from one that has all that the others have, and write it to FILE, and to\n" +
			"FILE.manifest.json what it is of: when, from whom, its hash, and how many objects of which resource are in it, with a digest\n" +
			"of them. Until it is whole it has another name; in object storage it is whole when its manifest is there. With --pki what makes\n" +
			"the cluster the one that everybody knows is kept too, without which a snapshot restores nothing elsewhere.\n\n" + objectStorage,
		Example: "  seatrial backup take snapshot.db --endpoints https://10.0.0.1:2379,https://10.0.0.2:2379,https://10.0.0.3:2379 \\\n" +
			"    --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt --key /etc/kubernetes/pki/etcd/server.key\n" +
			"  seatrial backup take s3://backups/production/$(date -u +%FT%H%M).db --s3-endpoint https://minio.example.com",
		Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if err := checkOutput(output); err != nil {
				return err
			}
			store, err := s.client(args[0])
			if err != nil {
				return err
			}
			var kept []cluster.CertificateFile
			if pki != "" {
				if kept, err = backup.PKIBelow(pki); err != nil {
					return usageError{err}
				}
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
			manifest, err := a.takeBackup(c.Context(), from, store, args[0], kept)
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
	s.register(c)
	c.Flags().StringVar(&pki, "pki", "", "folder as /etc/kubernetes/pki, whose authorities and service account keys are kept beside FILE in FILE.pki.tar: encrypt it")
	c.Flags().StringVar(&member, "member", "", "take it from this one of the endpoints, or not at all")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

func newBackupVerifyCommand(a *app) *cobra.Command {
	var s storeFlags
	var output string
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Prove a snapshot by restoring it",
		Long: "Look whether the hash of a snapshot is right, restore it into an etcd that is thrown away, and compare what is there then, object\n" +
			"by object, with FILE.manifest.json. What could not be looked at is said. A snapshot that is not to be restored from exits 4.\n\n" + objectStorage,
		Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if err := checkOutput(output); err != nil {
				return err
			}
			path, end, err := s.got(c.Context(), a, args[0])
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, end()) }()
			v, err := backup.Verify(c.Context(), path, scratchEtcd{a})
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
	s.register(c)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

// scratchEtcd is where backups are restored to be proven.
type scratchEtcd struct{ *app }

func (e scratchEtcd) Restore(ctx context.Context, snapshot string, look func(*clientv3.Client) error) (string, func() error, error) {
	supervisor, err := e.processes(ctx)
	if err != nil {
		return "", nil, err
	}
	return scratch.Etcd{Supervisor: supervisor}.Restore(ctx, snapshot, look)
}

// inspected is what backup inspect says.
type inspected struct {
	File   backup.File    `json:"file"`
	Digest *backup.Digest `json:"digest"`
}

func newBackupInspectCommand(a *app) *cobra.Command {
	var s storeFlags
	var output string
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Say what is in a snapshot, by resource and namespace",
		Long: "Look whether the hash of a snapshot is right, and say what is in it. A file without a hash is refused: nothing says that it\n" +
			"is whole. It is not restored for that.\n\n" + objectStorage,
		Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if err := checkOutput(output); err != nil {
				return err
			}
			path, end, err := s.got(c.Context(), a, args[0])
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, end()) }()
			file, digest, err := backup.Open(c.Context(), path)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.stdout, inspected{file, digest})
			}
			return writeResources(a.stdout, file, digest)
		},
	}
	s.register(c)
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
