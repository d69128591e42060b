package main

import (
	"bytes"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/seatrial/seatrial/harness/observe"
	"github.com/seatrial/seatrial/harness/roll"
	"github.com/seatrial/seatrial/harness/scenario"
)

// TestRollBlocked: what is in the way of a roll is named with what to change, and fails the command. Of no matter is what runs on a control plane, which nobody asked to drain.
func TestRollBlocked(t *testing.T) {
	g := NewWithT(t)
	node := func(name string, labels map[string]string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	bare := func(name, on string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name}, Spec: corev1.PodSpec{NodeName: on}}
	}
	w, err := observe.Live(t.Context(), fake.NewClientset(
		node("cp-1", map[string]string{"node-role.kubernetes.io/control-plane": ""}), node("worker-1", nil), bare("tool", "cp-1"), bare("shell", "worker-1"),
	))
	g.Expect(err).NotTo(HaveOccurred())

	var out bytes.Buffer
	a := &app{stdout: &out}
	g.Expect(a.checkRoll(w, roll.Options{Parallel: 1}, false)).To(MatchError(verdictError{scenario.Failed}))
	g.Expect(out.String()).To(HavePrefix("nodes: 1, at a time: 1: no way was found\n\n✗ pod/p/shell keeps pod/p/shell on worker-1 for ever: it has no controller"))
	g.Expect(out.String()).To(And(ContainSubstring("\n  change     "), Not(ContainSubstring("cp-1"))))

	out.Reset()
	g.Expect(a.checkRoll(w, roll.Options{Parallel: 1, Drain: roll.Drain{Force: true}}, false)).To(Succeed())
	g.Expect(out.String()).To(Equal("nodes: 1, at a time: 1: there is a way, waves: 1, in the order worker-1\n"))
}

// TestRollOtherwise: where the roll that was asked for has no way, another order or fewer at a time is said.
func TestRollOtherwise(t *testing.T) {
	for text, answer := range map[string]roll.Answer{
		"in the order b, a it waits for ever at b; there is another way, waves: 2, in the order a, b\n": {Possible: true, Stuck: []string{"b"}, Waves: 2, Order: []string{"a", "b"}},
		"no way was found; with 1 at a time there is one\n":                                             {Stuck: []string{"a", "b"}, Fewer: 1},
	} {
		var out bytes.Buffer
		(&app{stdout: &out}).showRoll(roll.Options{Nodes: []string{"b", "a"}, Parallel: 2}, answer)
		NewWithT(t).Expect(out.String()).To(Equal("nodes: 2, at a time: 2: " + text))
	}
}
