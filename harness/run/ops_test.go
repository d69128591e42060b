package run

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/trace"
)

// aboard is a rehearsal that can perform ops, and nothing else.
func aboard(t *testing.T, p *plan.Plan) *rehearsal {
	t.Helper()
	g := NewWithT(t)
	r := &rehearsal{Options: Options{Now: time.Now, Progress: io.Discard}, folder: Folder{Path: t.TempDir()}, plan: p, ops: newOps(p), trace: trace.NewWriter(io.Discard, time.Now)}
	var err error
	r.journal, err = openJournal(r.folder, time.Now)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = r.journal.close() })
	return r
}

func workers(parallel int) *plan.Op {
	leaf := func(id string) *plan.Op { return &plan.Op{ID: id, Timeout: plan.Seconds(time.Minute)} }
	return &plan.Op{ID: "roll", Parallel: parallel, Ops: []*plan.Op{
		{ID: "roll/a", Ops: []*plan.Op{leaf("roll/a/drain"), leaf("roll/a/kubelet")}},
		{ID: "roll/b", Ops: []*plan.Op{leaf("roll/b/drain"), leaf("roll/b/kubelet")}},
		{ID: "roll/c", Ops: []*plan.Op{leaf("roll/c/drain"), leaf("roll/c/kubelet")}},
	}}
}

// TestSideBySide: as many ops as the parent says are under way together, and what is recorded meanwhile belongs to what they have in common.
func TestSideBySide(t *testing.T) {
	g := NewWithT(t)
	root := workers(2)
	r := aboard(t, &plan.Plan{Ops: []*plan.Op{root}})
	var mu sync.Mutex
	together := make(chan struct{})
	begun, common := 0, ""
	goOn, err := r.do(t.Context(), root, func(ctx context.Context, op *plan.Op, _ io.Writer) error {
		if filepath.Base(op.ID) != "drain" || op.ID == "roll/c/drain" {
			return nil
		}
		mu.Lock()
		if begun++; begun == 2 {
			common = r.ops.current()
			close(together)
		}
		mu.Unlock()
		select {
		case <-together:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(goOn).To(BeTrue())
	g.Expect(common).To(Equal("roll"))
	g.Expect(r.ops.current()).To(BeEmpty())
	for _, s := range r.ops.states {
		g.Expect(s.State).To(Equal(report.Done), s.ID)
	}
}

// TestCurrent: what several ops have in common.
func TestCurrent(t *testing.T) {
	g := NewWithT(t)
	for want, active := range map[string][]string{
		"": {"roll/cp-2/apply", "faults/1"}, "roll/a/drain": {"roll/a/drain"}, "roll": {"roll/a/drain", "roll/ab/drain"}, "roll/a": {"roll/a/drain", "roll/a/kubelet"},
	} {
		o := &ops{}
		for _, id := range active {
			o.enter(id)
		}
		g.Expect(o.current()).To(Equal(want), "%q", active)
	}
}

// TestFailureEndsTheRest: after a failure nothing more is begun, in order or side by side.
func TestFailureEndsTheRest(t *testing.T) {
	for _, parallel := range []int{0, 2} {
		g := NewWithT(t)
		root := workers(parallel)
		r := aboard(t, &plan.Plan{Ops: []*plan.Op{root}})
		goOn, err := r.do(t.Context(), root, func(_ context.Context, op *plan.Op, _ io.Writer) error {
			if op.ID == "roll/c/drain" {
				return errors.New("it was begun")
			}
			return procedure.Failf("%s is held", op.ID)
		})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(goOn).To(BeFalse())
		g.Expect(r.ops.failed()).To(BeTrue())
		g.Expect(r.ops.states[r.ops.index["roll"]].State).To(Equal(report.Failed))
		g.Expect(r.ops.states[r.ops.index["roll/c/drain"]].State).To(Equal(report.Pending))
	}
}
