package run

import (
	"encoding/json"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/trace"
)

// TestStopped: a run whose control plane was stopped when it was killed, or is being stopped or started, is told apart.
func TestStopped(t *testing.T) {
	g := NewWithT(t)
	p := &plan.Plan{Ops: []*plan.Op{{ID: "backup"}, {ID: "drill", Ops: []*plan.Op{{ID: "drill/stop", Stops: true}, {ID: "drill/data"}, {ID: "drill/start", Starts: true}}}, {ID: "after"}}}
	done, underWay := report.Op{State: report.Done}, report.Op{}
	for _, test := range []struct {
		ops     map[string]report.Op
		stopped bool
	}{
		{map[string]report.Op{"backup": done}, false},
		{map[string]report.Op{"backup": done, "drill/stop": underWay}, true},
		{map[string]report.Op{"drill/stop": done, "drill/data": done}, true},
		{map[string]report.Op{"drill/stop": done, "drill/data": done, "drill/start": underWay}, true},
		{map[string]report.Op{"drill/stop": done, "drill/data": done, "drill/start": done, "after": underWay}, false},
	} {
		g.Expect((&past{ops: test.ops}).stopped(p)).To(Equal(test.stopped), "%v", test.ops)
	}
}

// TestRelist: when the objects of a cluster are listed again, one that is gone and one that took the place of another of its name are recorded as gone, and those that are as they were are not.
func TestRelist(t *testing.T) {
	g := NewWithT(t)
	object := func(uid string) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"metadata":{"uid":%q}}`, uid))
	}
	var recorded []string
	l := &relist{
		record: func(e trace.Event, data any) error {
			recorded = append(recorded, fmt.Sprintf("%s %s %s", e.Subject, e.Change, uid(data.(json.RawMessage))))
			return nil
		},
		known: map[string]json.RawMessage{"pod/p/stays": object("1"), "pod/p/replaced": object("2"), "pod/p/gone": object("3")},
	}
	existing := func(subject, uid string) {
		g.Expect(l.put(trace.Event{Kind: trace.KindObject, Subject: subject, Change: trace.Existing}, object(uid))).To(Succeed())
	}
	existing("pod/p/stays", "1")
	existing("pod/p/replaced", "4")
	existing("pod/p/new", "5")
	g.Expect(l.rest()).To(Succeed())
	g.Expect(recorded).To(Equal([]string{
		"pod/p/stays existing 1", "pod/p/replaced deleted 2", "pod/p/replaced existing 4", "pod/p/new existing 5", "pod/p/gone deleted 3",
	}))

	// the list is over: what changes now is news
	recorded = nil
	existing("pod/p/gone", "6")
	g.Expect(recorded).To(Equal([]string{"pod/p/gone existing 6"}))
}
