package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// takeByCronJob starts a Job of a CronJob now, as kubectl create job --from=cronjob/NAME does, and takes what that puts into object storage for the backup of the step.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
func takeByCronJob(ctx context.Context, env *procedure.Env, step scenario.Step) error {
	pods, ok := env.Cluster.(cluster.Pods)
	if !ok || env.Storage == nil {
		return fmt.Errorf("cluster lacks the capability %q, which its provider promised, or there is no object storage", cluster.CapPods)
	}
	namespace, name, _ := strings.Cut(step.Backup.CronJob.Name, "/")
	by, err := env.Kube.BatchV1().CronJobs(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	said, err := scheduled(by, time.Now())
	if err != nil {
		return procedure.Failf("%v", err)
	}
	if err := giveStorage(ctx, env, pods, namespace, step.Backup.CronJob.Storage); err != nil {
		return err
	}
	if seatrialIn(by.Spec.JobTemplate.Spec.Template.Spec) != "" {
		if err := pods.LoadSeatrial(ctx); err != nil {
			return err
		}
	}
	before, err := env.Storage.Snapshots(ctx, env.Storage.Bucket)
	if err != nil {
		return err
	}
	standing, _ := env.Etcd.InStep(ctx) // what is wrong with them is in what they say
	job, err := runJob(ctx, env, by, step.Backup.Timeout.Duration)
	if err != nil {
		return err
	}
	now, err := env.Storage.Snapshots(ctx, env.Storage.Bucket)
	if err != nil {
		return err
	}
	arrived := slices.DeleteFunc(now, func(address string) bool { return slices.Contains(before, address) })
	if len(arrived) != 1 {
		return procedure.Failf("job/%s/%s is complete, and of one snapshot that was to arrive in object storage, whole, with its manifest, these did: %s", namespace, job, list(arrived))
	}
	said.Job = "job/" + namespace + "/" + job
	return fromStorage(ctx, env, step.ID, arrived[0], standing, said)
}

func list(addresses []string) string {
	if len(addresses) == 0 {
		return "none"
	}
	return strings.Join(addresses, ", ")
}

// seatrialIn is the name of the first container of a pod with the image of the program that rehearses, or "".
func seatrialIn(pod corev1.PodSpec) string {
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		if c.Image == cluster.SeatrialImage {
			return c.Name
		}
	}
	return ""
}

// giveStorage has the object storage serve the cluster, and makes the Secret that says how it is used.
func giveStorage(ctx context.Context, env *procedure.Env, pods cluster.Pods, namespace, name string) error {
	host, err := pods.HostAddress(ctx)
	if err != nil {
		return err
	}
	access, err := env.Storage.Serve(ctx, host)
	if err != nil {
		return err
	}
	access["BUCKET"] = env.Storage.Bucket
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: access}
	secrets := env.Kube.CoreV1().Secrets(namespace)
	_, err = secrets.Create(ctx, secret, metav1.CreateOptions{FieldManager: objects.FieldManager})
	if apierrors.IsAlreadyExists(err) {
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: objects.FieldManager})
	}
	if err != nil {
		return fmt.Errorf("make secret/%s/%s: %w", namespace, name, err)
	}
	fmt.Fprintf(env.Log, "secret/%s/%s says how the object storage at %s is used\n", namespace, name, access["AWS_ENDPOINT_URL_S3"])
	return nil
}

// runJob starts a Job and waits until it is complete.
func runJob(ctx context.Context, env *procedure.Env, by *batchv1.CronJob, timeout time.Duration) (name string, err error) {
	annotations := map[string]string{"cronjob.kubernetes.io/instantiate": "manual"} // as kubectl does
	maps.Copy(annotations, by.Spec.JobTemplate.Annotations)
	job, err := env.Kube.BatchV1().Jobs(by.Namespace).Create(ctx, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: by.Name + "-", Namespace: by.Namespace, Labels: by.Spec.JobTemplate.Labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(by, batchv1.SchemeGroupVersion.WithKind("CronJob"))},
		},
		Spec: by.Spec.JobTemplate.Spec,
	}, metav1.CreateOptions{FieldManager: objects.FieldManager})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ref := objects.Ref{Kind: "job", Namespace: job.Namespace, Name: job.Name}
	if err := env.Objects.AwaitJob(ctx, ref); err != nil {
		err = procedure.FromWait(err)
		if said := lastWords(context.WithoutCancel(ctx), env, job); said != "" {
			return "", procedure.Failf("%v; seatrial said last: %s", err, said)
		}
		return "", err
	}
	fmt.Fprintf(env.Log, "%s of cronjob/%s/%s is complete\n", ref, by.Namespace, by.Name)
	return job.Name, nil
}

const (
	// logsTimeout bounds asking what a Job's pods have said.
	logsTimeout = 10 * time.Second
	// logLines and logBytes are how much of it is said.
	logLines, logBytes = 5, 1 << 10
)

// lastWords are the last lines of our program in the Job's last pod, for whoever has to find out why it failed; "" when there are none. It says nothing secret; of other programs
// nobody knows.
func lastWords(ctx context.Context, env *procedure.Env, job *batchv1.Job) string {
	container := seatrialIn(job.Spec.Template.Spec)
	if container == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, logsTimeout)
	defer cancel()
	pods, err := env.Kube.CoreV1().Pods(job.Namespace).List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job.Name})
	if err != nil || len(pods.Items) == 0 {
		return ""
	}
	last := slices.MaxFunc(pods.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	lines, size := int64(logLines), int64(logBytes)
	raw, err := env.Kube.CoreV1().Pods(job.Namespace).GetLogs(last.Name, &corev1.PodLogOptions{Container: container, TailLines: &lines, LimitBytes: &size}).DoRaw(ctx)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// fromStorage records a backup that is in object storage and that somebody else took, as the step's.
func fromStorage(ctx context.Context, env *procedure.Env, step, address string, standing []trace.EtcdData, by *trace.CronJobData) error {
	env.Storage.Arrived[step] = address
	got, err := get(ctx, env, step)
	if err != nil {
		return err
	}
	if err := os.Remove(got); err != nil { // only its manifest stays here
		return err
	}
	m, err := backup.ReadManifest(got)
	if err != nil {
		return err
	}
	said := trace.BackupData{
		Time: m.Time, Kept: scenario.KeptObjectStorage, ClusterID: m.ClusterID, Revision: m.File.Revision, SHA256: m.File.SHA256, SizeBytes: m.File.Size,
		Objects: m.Digest.Objects(), Digest: m.Digest.Hash(), CronJob: by,
	}
	if i := slices.IndexFunc(standing, func(s trace.EtcdData) bool { return s.ID == m.MemberID }); i >= 0 {
		said.Node, said.Member = standing[i].Node, &standing[i]
	}
	if said.PKI, err = storedPKI(ctx, env, step, address, said.Node); err != nil { // said.Node is "" when no member of the cluster took it
		return err
	}
	stored, err := env.Storage.Stat(ctx, address)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Log, "%s has %d bytes from etcd/%s, revision %d, %d objects, and %d files of the authorities\n", address, stored.Size, said.Node, said.Revision, said.Objects, len(said.PKI))
	return errors.Join(
		env.Record(trace.KindFact, "backup/"+step, trace.BackupTaken, said),
		env.Record(trace.KindFact, "backup/"+step, trace.BackupStored, trace.StoredData{Time: stored.Time, Address: address, SizeBytes: stored.Size}),
	)
}

// storedPKI lists what of the authorities is kept beside a snapshot in object storage, can be used, and is what the node has.
func storedPKI(ctx context.Context, env *procedure.Env, step, address, node string) ([]string, error) {
	kept := file(env, step) + backup.PKISuffix
	err := env.Storage.GetBeside(ctx, address, backup.PKISuffix, kept)
	if errors.Is(err, fs.ErrNotExist) {
		return []string{}, nil
	}
	if err != nil {
		return nil, err
	}
	files, err := backup.ReadPKI(node, kept)
	if err = errors.Join(err, os.Remove(kept)); err != nil {
		return nil, err
	}
	now, err := sharedFiles(ctx, env, node)
	if err != nil {
		return nil, err
	}
	return paths(slices.DeleteFunc(files, func(f cluster.CertificateFile) bool {
		return !slices.ContainsFunc(now, func(other cluster.CertificateFile) bool {
			return other.Path == f.Path && bytes.Equal(other.Content, f.Content)
		})
	})), nil
}

// scheduled says when a CronJob starts Jobs by itself. The error says that its schedule can't be read.
func scheduled(by *batchv1.CronJob, now time.Time) (*trace.CronJobData, error) {
	said := &trace.CronJobData{
		Subject: "cronjob/" + by.Namespace + "/" + by.Name, Schedule: by.Spec.Schedule, Suspended: by.Spec.Suspend != nil && *by.Spec.Suspend,
	}
	spec := by.Spec.Schedule
	if by.Spec.TimeZone != nil {
		spec = "TZ=" + *by.Spec.TimeZone + " " + spec // as the controller reads it
	}
	schedule, err := cron.ParseStandard(spec)
	if err != nil {
		return nil, fmt.Errorf("%s: schedule %q: %w", said.Subject, by.Spec.Schedule, err)
	}
	year := now.AddDate(1, 0, 1)
	for at := schedule.Next(now); !at.IsZero() && at.Before(year); {
		next := schedule.Next(at) // of the last one within the year too
		if !next.IsZero() {
			said.LongestSeconds = max(said.LongestSeconds, next.Sub(at).Seconds())
		}
		at = next
	}
	return said, nil
}
