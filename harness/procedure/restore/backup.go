// Package restore is the steps of a restore drill: backup, verifyBackup, loseEtcd and restore.
//
// https://etcd.io/docs/v3.6/op-guide/recovery/
package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/etcd"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// file is where the snapshot of a step is, when it is here. Its manifest always is.
func file(env *procedure.Env, step string) string { return filepath.Join(env.Backups, step+".db") }

// address is where it is in object storage, when it is there.
func address(env *procedure.Env, step string) string {
	return cmp.Or(env.Storage.Arrived[step], backup.Address(env.Storage.Bucket, env.Run+"/"+step+".db"))
}

// here gives the file of a step's snapshot. One that is in object storage only is got from there.
func here(ctx context.Context, env *procedure.Env, step string) (path string, got bool, err error) {
	path = file(env, step)
	if _, err := os.Stat(path); err == nil || env.Storage == nil {
		return path, false, nil // whoever opens it says what is wrong with it
	}
	path, err = get(ctx, env, step)
	return path, true, err
}

// get gets a step's snapshot, with its manifest, from object storage, where it may have a name that others gave it.
func get(ctx context.Context, env *procedure.Env, step string) (string, error) {
	got, err := env.Storage.Get(ctx, address(env, step), env.Backups)
	path := file(env, step)
	if err == nil && got != path {
		err = errors.Join(os.Rename(got, path), os.Rename(got+backup.ManifestSuffix, path+backup.ManifestSuffix))
	}
	return path, err
}

// store puts a step's snapshot into object storage, with what is kept of the PKI, and leaves nothing of it here.
func store(ctx context.Context, env *procedure.Env, step string, withPKI bool) error {
	if env.Storage == nil {
		return errors.New("the rehearsal has no object storage")
	}
	stored, err := env.Storage.Put(ctx, file(env, step), address(env, step))
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Log, "%s has %d bytes\n", address(env, step), stored.Size)
	if withPKI {
		pki := file(env, step) + backup.PKISuffix
		if err := env.Storage.PutBeside(ctx, pki, address(env, step), backup.PKISuffix); err != nil {
			return err
		}
		if err := os.Remove(pki); err != nil {
			return err
		}
	}
	return errors.Join(
		env.Record(trace.KindFact, "backup/"+step, trace.BackupStored, trace.StoredData{Time: stored.Time, Address: address(env, step), SizeBytes: stored.Size}),
		os.Remove(file(env, step)),
	)
}

// restorerOf is what the cluster can do with its etcd.
func restorerOf(env *procedure.Env) (cluster.EtcdRestorer, error) {
	restorer, ok := env.Cluster.(cluster.EtcdRestorer)
	if !ok || env.Etcd == nil {
		return nil, fmt.Errorf("cluster lacks the capability %q, which its provider promised", cluster.CapRestore)
	}
	return restorer, nil
}

// Backup is the step backup.
type Backup struct{}

// Kind implements procedure.Procedure.
func (Backup) Kind() string { return "backup" }

// Needs implements procedure.Procedure.
func (Backup) Needs() []cluster.Capability {
	return []cluster.Capability{cluster.CapEtcd, cluster.CapRestore}
}

// Plan implements procedure.Procedure.
func (Backup) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	title := "take a snapshot of etcd from a member that has everything"
	if step.Backup.Node != "" {
		title = "take a snapshot of etcd from the member of " + step.Backup.Node
	}
	if by := step.Backup.CronJob; by != nil {
		title = "have the CronJob " + by.Name + " take a snapshot of etcd"
	}
	if step.Backup.Unasked {
		title += ", without asking whether it has everything"
	}
	if step.Backup.WithoutPKI {
		title += ", without the certificate authorities"
	}
	switch step.Backup.To {
	case scenario.KeptObjectStorage:
		title += ", into object storage"
	case scenario.KeptNode:
		title += ", and leave it there"
	}
	return &plan.Op{
		ID: step.ID, Title: title, Procedure: "backup", Action: "take", Node: step.Backup.Node, Options: step.Backup, Timeout: plan.Seconds(step.Backup.Timeout.Duration),
	}
}

// Do implements procedure.Procedure.
func (Backup) Do(ctx context.Context, env *procedure.Env, step scenario.Step, op *plan.Op) error {
	restorer, err := restorerOf(env)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(env.Backups, 0o700); err != nil {
		return err
	}
	if step.Backup.CronJob != nil {
		return takeByCronJob(ctx, env, step)
	}
	nodes := map[string]string{} // by endpoint
	var members []backup.Member
	named := ""
	for _, c := range env.Etcd.Clients() {
		nodes[c.Endpoint] = c.Node
		members = append(members, member(c))
		if c.Node == op.Node {
			named = c.Endpoint
		}
	}
	standing, _ := env.Etcd.InStep(ctx) // what is wrong with them is in what they say
	from, err := choose(ctx, members, named, step.Backup.Unasked)
	if errors.Is(err, backup.ErrBehind) {
		return procedure.Failf("%v", err)
	}
	if err != nil {
		return err
	}
	node := nodes[from.Endpoint]
	said := trace.BackupData{Node: node, Kept: step.Backup.To}
	m, err := backup.TakeBy(ctx, from, file(env, step.ID), time.Now, func(ctx context.Context, file string) error {
		onNode, err := restorer.SaveSnapshot(ctx, node, file, step.Backup.To == scenario.KeptNode)
		if step.Backup.To == scenario.KeptNode {
			said.Path = onNode
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Log, "%d bytes from etcd/%s, revision %d, %d objects\n", m.File.Size, node, m.File.Revision, m.Digest.Objects())
	said.Time, said.ClusterID, said.Revision, said.SHA256, said.SizeBytes = m.Time, m.ClusterID, m.File.Revision, m.File.SHA256, m.File.Size
	said.Objects, said.Digest = m.Digest.Objects(), m.Digest.Hash()
	said.PKI = []string{}
	if !step.Backup.WithoutPKI {
		if said.PKI, err = keepPKI(ctx, env, node, file(env, step.ID)+backup.PKISuffix); err != nil {
			return err
		}
	}
	if i := slices.IndexFunc(standing, func(s trace.EtcdData) bool { return s.Node == node }); i >= 0 {
		said.Member = &standing[i]
	}
	if err := env.Record(trace.KindFact, "backup/"+step.ID, trace.BackupTaken, said); err != nil || step.Backup.To != scenario.KeptObjectStorage {
		return err
	}
	return store(ctx, env, step.ID, len(said.PKI) > 0)
}

// choose is backup.Choose, unless the one that is named is taken as it is.
func choose(ctx context.Context, members []backup.Member, named string, unasked bool) (backup.Member, error) {
	if i := slices.IndexFunc(members, func(m backup.Member) bool { return m.Endpoint == named }); unasked && i >= 0 {
		return members[i], nil
	}
	return backup.Choose(ctx, members, named)
}

func member(c etcd.Client) backup.Member {
	return backup.Member{Endpoint: c.Endpoint, Client: c.Client, TLS: c.TLS}
}

// Damage is the step damageBackup.
type Damage struct{}

// Kind implements procedure.Procedure.
func (Damage) Kind() string { return "damageBackup" }

// Needs implements procedure.Procedure.
func (Damage) Needs() []cluster.Capability {
	return []cluster.Capability{cluster.CapEtcd, cluster.CapRestore}
}

// Plan implements procedure.Procedure.
func (Damage) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	return &plan.Op{
		ID: step.ID, Title: "damage " + step.DamageBackup.Backup + ": " + step.DamageBackup.How, Procedure: "damageBackup", Action: "damage",
		Options: step.DamageBackup, Timeout: procedure.Quick,
	}
}

// Do implements procedure.Procedure.
func (Damage) Do(ctx context.Context, env *procedure.Env, step scenario.Step, _ *plan.Op) error {
	spec := step.DamageBackup
	if spec.How == scenario.DamageDatabase {
		return copyDatabase(ctx, env, spec.Backup)
	}
	file, err := os.OpenFile(file(env, spec.Backup), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	switch spec.How {
	case scenario.DamageTruncated:
		err = file.Truncate(size - size/4)
	case scenario.DamageBitFlipped:
		one := make([]byte, 1)
		if _, err = file.ReadAt(one, size/2); err == nil {
			_, err = file.WriteAt([]byte{one[0] ^ 1}, size/2)
		}
	default:
		err = fmt.Errorf("there is no damage %q", spec.How)
	}
	fmt.Fprintf(env.Log, "%s of %d bytes is %s\n", spec.Backup, size, spec.How)
	return err
}

// copyDatabase replaces a backup by the database file of the member that it was taken from.
func copyDatabase(ctx context.Context, env *procedure.Env, step string) error {
	restorer, err := restorerOf(env)
	if err != nil {
		return err
	}
	m, err := backup.ReadManifest(file(env, step))
	if err != nil {
		return err
	}
	for _, c := range env.Etcd.Clients() {
		if c.Endpoint == m.Endpoint {
			fmt.Fprintf(env.Log, "%s is a copy of the database of etcd/%s\n", step, c.Node)
			return restorer.CopyDatabase(ctx, c.Node, file(env, step))
		}
	}
	return fmt.Errorf("no member has the endpoint %s, from which backup/%s was taken", m.Endpoint, step)
}

// Verify is the step verifyBackup.
type Verify struct{}

// Kind implements procedure.Procedure.
func (Verify) Kind() string { return "verifyBackup" }

// Needs implements procedure.Procedure.
func (Verify) Needs() []cluster.Capability { return []cluster.Capability{cluster.CapRestore} }

// Plan implements procedure.Procedure.
func (Verify) Plan(step scenario.Step, _ plan.Setting) *plan.Op {
	return &plan.Op{
		ID: step.ID, Title: "restore " + step.VerifyBackup.Backup + " into an etcd that is thrown away, and compare", Procedure: "verifyBackup", Action: "verify",
		Options: step.VerifyBackup, Timeout: plan.Seconds(step.VerifyBackup.Timeout.Duration),
	}
}

// Do implements procedure.Procedure. That a backup doesn't hold is an outcome, and in the recording.
func (Verify) Do(ctx context.Context, env *procedure.Env, step scenario.Step, _ *plan.Op) error {
	taken := step.VerifyBackup.Backup
	path, got, err := here(ctx, env, taken)
	var v *backup.Verification
	found := err == nil
	if found {
		v, err = backup.Verify(ctx, path, env.Scratch)
		if got {
			err = errors.Join(err, os.Remove(path))
		}
	}
	said := trace.VerifiedData{Unchecked: []string{}, Time: time.Now().UTC(), HasHash: found && !errors.Is(err, backup.ErrNoHash) && !errors.Is(err, backup.ErrNotSnapshot)}
	switch {
	case errors.Is(err, backup.ErrUnfit):
		said.Problem = err.Error()
	case err != nil:
		return err
	default:
		said.Objects, said.Unchecked = v.Digest.Objects(), v.Unchecked
		fmt.Fprintf(env.Log, "%d objects were restored, as it says\n", said.Objects)
	}
	if recorded := env.Record(trace.KindFact, "backup/"+taken, trace.BackupVerified, said); recorded != nil {
		return recorded
	}
	if err != nil {
		return procedure.Failf("%v", err)
	}
	return nil
}
