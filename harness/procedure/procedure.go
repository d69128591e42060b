// Package procedure is the contract between a run and the kinds of step: each
// kind is a package below this one that turns a step into ops and performs them. Package
// catalog has the one list of them.
package procedure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/etcd"
	"github.com/seatrial/seatrial/harness/objects"
	"github.com/seatrial/seatrial/harness/observe"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// Procedure is one kind of step.
type Procedure interface {
	Performer
	// Kind is the step's field in a scenario: "drain".
	Kind() string
	// Needs lists the capabilities that a cluster must have for the step.
	Needs() []cluster.Capability
	// Plan expands a step into an op, with children where it takes several, without numbers. It is pure.
	Plan(step scenario.Step, s plan.Setting) *plan.Op
}

// Performer performs ops.
type Performer interface {
	// Do performs one of those ops, and then looks whether it happened. ctx has the op's timeout. A [Failure] says that the cluster
	// did not let us, which is an outcome of the rehearsal; any other error says that we could not tell.
	Do(ctx context.Context, env *Env, step scenario.Step, op *plan.Op) error
}

// Env is what a procedure works with.
type Env struct {
	// Run is the id of the run.
	Run     string
	Cluster cluster.Cluster
	Kube    kubernetes.Interface
	Objects *objects.Client
	// Looks are shared by those who wait for workloads.
	Looks *Looks
	// Etcd asks the members of etcd; nil when the cluster has none to ask.
	Etcd *etcd.Members
	// Backups is a private folder for backups of etcd, outside of the cluster. It goes with the run, for whoever reads one reads every Secret.
	Backups string
	// Storage keeps backups where the loss of the cluster does not reach; nil when no step asks for it.
	Storage *Storage
	// Scratch restores backups to prove them.
	Scratch backup.Scratch
	// Informers watch all the while, as a controller does; nil when no step asks what became of them.
	Informers *observe.Informers
	// FirstCertificates are the certificates of the cluster as they were looked at before the first step, by their subject.
	FirstCertificates func() (map[string]*trace.CertificateData, error)
	// Manifests returns the objects of a file that the scenario names.
	Manifests func(file string) []*unstructured.Unstructured
	// Record writes an event about a subject into the trace, under the op.
	Record func(kind trace.Kind, subject, change string, data any) error
	// Recorded waits until the trace shows an object in a resource version or a later one, so that what an op does next comes after it there too.
	Recorded func(ctx context.Context, subject, resourceVersion string) error
	// Relist has the recording begin anew with what is there: versions may have gone back.
	Relist func(ctx context.Context) error
	// Background takes what an op leaves to be done while others are performed.
	Background *Background
	// Log is the op's log: what the equivalent command would print.
	Log io.Writer
}

// Storage is object storage for backups.
type Storage struct {
	*backup.Store
	Bucket string
	// Serve has it listen at an address of this machine too, for the cluster's pods, and says how to use it from there: environment variables as the AWS CLI reads them.
	Serve func(ctx context.Context, host string) (map[string]string, error)
	// Arrived says where backups are that others put there, by the steps that had them taken.
	Arrived map[string]string
}

// Failure says that the cluster did not let an op finish.
type Failure struct {
	Message  string
	Blockers []trace.Blocker
}

func (f *Failure) Error() string { return f.Message }

// Failf makes a Failure without blockers.
func Failf(format string, args ...any) error { return &Failure{Message: fmt.Sprintf(format, args...)} }

// FromWait turns the time-out of a wait into a Failure, the cluster had its time, and so an end that was another than was waited for. Other errors stay.
func FromWait(err error) error {
	var timeout *objects.TimeoutError
	if errors.As(err, &timeout) {
		return &Failure{Message: err.Error(), Blockers: []trace.Blocker{{Subject: timeout.Ref.String(), Reason: timeout.LastSeen}}}
	}
	var failed *objects.FailedError
	if errors.As(err, &failed) {
		return &Failure{Message: err.Error(), Blockers: []trace.Blocker{{Subject: failed.Ref.String(), Reason: failed.Why}}}
	}
	return err
}

// Quick is the timeout of ops that are a request or two.
const Quick = plan.Seconds(30 * time.Second)

// Marking is the timeout of a cordon, which waits for the controller manager: one that lost its lease is replaced after 15 s, and the new one has to learn what there is.
const Marking = 2 * Quick

// Margin is what an op is given beyond the timeout that the scenario states, so that the procedure's own timeout speaks first.
const Margin = 15 * time.Second
