package procedure

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestAwaitLeaders: a lease that was renewed before, one that nobody holds and one that is missing are no leader, of either component.
func TestAwaitLeaders(t *testing.T) {
	since := time.Now()
	lease := func(name, holder string, renewed time.Time) *coordinationv1.Lease {
		at := metav1.NewMicroTime(renewed)
		return &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: name}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &at},
		}
	}
	manager, scheduler := lease("kube-controller-manager", "cp-1", since.Add(time.Second)), lease("kube-scheduler", "cp-2", since.Add(time.Second))
	await := func(leases ...*coordinationv1.Lease) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		kube := fake.NewClientset()
		var looks atomic.Int64
		kube.PrependReactor("get", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			if looks.Add(1) > 4 { // each lease was looked at, and one that is no leader's again
				cancel()
			}
			return false, nil, nil
		})
		for _, l := range leases {
			if err := kube.Tracker().Add(l); err != nil {
				t.Fatal(err)
			}
		}
		return AwaitLeaders(ctx, &Env{Kube: kube}, since)
	}
	g := NewWithT(t)
	g.Expect(await(manager, scheduler)).To(Succeed())
	g.Expect(await(manager, lease("kube-scheduler", "cp-2", since.Add(-time.Second)))).To(MatchError(And(ContainSubstring("wait for kube-scheduler"), ContainSubstring("cp-2 renewed it last at"))))
	g.Expect(await(lease("kube-controller-manager", "", since.Add(time.Second)), scheduler)).To(MatchError(And(ContainSubstring("wait for kube-controller-manager"), ContainSubstring("nobody holds it"))))
	g.Expect(await(manager)).To(MatchError(ContainSubstring(`"kube-scheduler" not found`)))
}
