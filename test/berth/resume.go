package berth

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/trace"
)

// screen is what a run that did not pass says of its findings: a run's progress is before it, and the end of a log is what is read.
var screen = regexp.MustCompile(`(?ms)^(FAILED|ERRORED) .*?^in all `)

// Resumed starts a resumable run and kills it with SIGKILL when its cluster stands and after each of its operations that is wanted, and resumes it each time: it must pass at last, and
// nothing may have been done twice. dead is called each time it is.
func (b *Berth) Resumed(wanted func(op string) bool, dead func(), args ...string) {
	b.t.Helper()
	b.Kill(func() bool { return b.Ended("cluster/create") }, args...)
	dead()
	folder := b.RunFolders()[0]
	kills := 1
	for _, op := range b.leaves(folder) {
		if !wanted(op) || b.Ended(op) { // before the process was dead
			continue
		}
		b.Kill(func() bool { return b.Ended(op) }, "resume", folder)
		dead()
		kills++
	}
	out, status := b.Run("resume", folder)
	b.t.Log(out)
	b.Expect(status).To(gomega.Equal(0), screen.FindString(out))
	b.Expect(filepath.Join(folder, "state")).NotTo(gomega.BeADirectory(), "the keys went with the cluster")
	out, status = b.Run("resume", folder)
	b.Expect(status).To(gomega.Equal(2))
	b.Expect(out).To(gomega.ContainSubstring("it has ended, and has its verdict"))
	b.doneOnce(folder)
	b.Expect(b.resumptions(folder)).To(gomega.Equal(kills))
}

// leaves are the operations of a run's plan that have none below them, after those that make the cluster.
func (b *Berth) leaves(folder string) []string {
	raw, err := os.ReadFile(filepath.Join(folder, "plan.json"))
	b.Expect(err).NotTo(gomega.HaveOccurred())
	p := &plan.Plan{}
	b.Expect(json.Unmarshal(raw, p)).To(gomega.Succeed())
	var ids []string
	p.Walk(func(op *plan.Op, _ int) {
		if len(op.Ops) == 0 && !strings.HasPrefix(op.ID, "cluster/") {
			ids = append(ids, op.ID)
		}
	})
	return ids
}

// doneOnce looks into the journal: an operation that was done was not performed again.
func (b *Berth) doneOnce(folder string) {
	b.t.Helper()
	states := map[string][]string{}
	journal, err := os.ReadFile(filepath.Join(folder, "journal.jsonl"))
	b.Expect(err).NotTo(gomega.HaveOccurred())
	for line := range bytes.Lines(journal) {
		var e struct{ Op, State string }
		b.Expect(json.Unmarshal(line, &e)).To(gomega.Succeed())
		states[e.Op] = append(states[e.Op], e.State)
	}
	for _, op := range b.leaves(folder) {
		s := states[op]
		b.Expect(s).NotTo(gomega.BeEmpty(), op)
		b.Expect(s[len(s)-1]).To(gomega.Equal("done"), op)
		b.Expect(slices.Index(s, "done")).To(gomega.Equal(len(s)-1), "%s was performed again: %v", op, s)
	}
}

// resumptions looks into the recording: how often the run was resumed. No pod was evicted twice, but by an op that the kill has cut short.
func (b *Berth) resumptions(folder string) int {
	b.t.Helper()
	file, err := os.Open(filepath.Join(folder, "trace.jsonl"))
	b.Expect(err).NotTo(gomega.HaveOccurred())
	defer file.Close()
	events, err := trace.ReadAll(file)
	b.Expect(err).NotTo(gomega.HaveOccurred())
	resumed := 0
	taken, unfinished := map[string]int{}, map[string]string{} // by pod; the op that is under way
	for _, e := range events {
		switch {
		case e.Change == trace.RunResumed:
			resumed++
			for pod := range unfinished {
				delete(taken, pod)
			}
			clear(unfinished)
		case e.Change == trace.Evicting:
			taken[e.Subject]++
			unfinished[e.Subject] = e.Op
		case e.Kind == trace.KindOp && e.Change == trace.OpDone:
			maps.DeleteFunc(unfinished, func(_, op string) bool { return op == e.Op })
		}
	}
	b.Expect(taken).NotTo(gomega.BeEmpty())
	b.Expect(taken).To(gomega.HaveEach(1), "a pod was evicted twice")
	return resumed
}
