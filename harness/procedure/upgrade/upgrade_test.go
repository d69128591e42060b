package upgrade

import (
	"context"
	"io"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/scenario"
)

// TestNewer: what is newer than the target, if only by a patch, keeps the cluster from being upgraded, and so does a target that everything has.
func TestNewer(t *testing.T) {
	for _, test := range []struct {
		now    map[string]string
		to     string
		errors string
	}{
		{map[string]string{"api/cp-1": "v1.33.13", "node/cp-1": "v1.33.13"}, "v1.34.4", ""},
		{map[string]string{"api/cp-1": "v1.33.2", "node/cp-1": "v1.33.2"}, "v1.33.13", ""},
		{map[string]string{"api/cp-1": "v1.34.4", "node/worker-1": "v1.33.13"}, "v1.34.4", ""},
		{map[string]string{"api/cp-1": "v1.33.13", "node/cp-1": "v1.33.13"}, "v1.33.2", "api/cp-1: it is v1.33.13, and nothing goes back to v1.33.2"},
		{map[string]string{"api/cp-1": "v1.33.2", "node/worker-1": "v1.33.13"}, "v1.33.12", "node/worker-1: it is v1.33.13"},
		{map[string]string{"api/cp-1": "v1.34.4", "node/cp-1": "v1.34.4"}, "v1.34.4", "expected api/cp-1 or node/cp-1 to be older than v1.34.4, and has that already"},
		{map[string]string{"api/cp-1": "new"}, "v1.34.4", "read the version of api/cp-1"},
	} {
		err := newer(test.now, test.to)
		if test.errors == "" {
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), test.to)
		} else {
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.errors)))
		}
	}
}

// staging is a cluster of one worker that brings v1.34.4 to it.
type staging struct {
	cluster.Cluster
	cluster.Upgrader
}

func (staging) Nodes() []cluster.Node {
	return []cluster.Node{{Name: "worker-1", Role: cluster.Worker}}
}

func (staging) Stage(context.Context, string, string) (string, error) { return "v1.34.4", nil }

// TestAlreadyThere: a node that is to be upgraded alone, and has the version already, is upgraded by nothing: that is said, and not done.
func TestAlreadyThere(t *testing.T) {
	stage := func(version string) error {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1"}, Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: version}}}
		env := &procedure.Env{Cluster: staging{}, Kube: fake.NewClientset(node), Log: io.Discard}
		return Node{}.Do(t.Context(), env, scenario.Step{}, &plan.Op{ID: "worker/stage", Action: ActionStage, Node: "worker-1", Version: "v1.34"})
	}
	g := NewWithT(t)
	g.Expect(stage("v1.33.13")).To(Succeed())
	g.Expect(stage("v1.34.4")).To(MatchError(ContainSubstring("expected node/worker-1 to be older than v1.34.4")))
	g.Expect(stage("v1.35.4")).To(MatchError(ContainSubstring("node/worker-1: it is v1.35.4, and nothing goes back to v1.34.4")))
}
