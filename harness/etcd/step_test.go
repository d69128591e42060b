package etcd

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/trace"
)

// TestOutOfStep: three members are in step until one of them is not.
func TestOutOfStep(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*trace.EtcdData)
		want   string
	}{
		"in step":    {func(*trace.EtcdData) {}, ""},
		"a bit late": {func(s *trace.EtcdData) { s.Applied -= MaxBehind }, ""},
		"late":       {func(s *trace.EtcdData) { s.Applied -= MaxBehind + 1 }, "etcd/cp-2 has applied 3999 of 5000 entries"},
		"cut off":    {func(s *trace.EtcdData) { s.Leader = "" }, "etcd/cp-2 knows no leader"},
		"elsewhere":  {func(s *trace.EtcdData) { s.Leader = "c3" }, "etcd/cp-2 follows c3, and etcd/cp-1 follows a1"},
		"learning":   {func(s *trace.EtcdData) { s.Learner = true }, "etcd/cp-2 is a learner, which has no vote"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var all []trace.EtcdData
			for _, node := range []string{"cp-1", "cp-2", "cp-3"} {
				all = append(all, trace.EtcdData{Node: node, Leader: "a1", Committed: 5000, Applied: 5000})
			}
			c.change(&all[1])
			err := outOfStep(all)
			g.Expect(all[1].Behind).To(Equal(5000 - all[1].Applied))
			if c.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(c.want))
			}
		})
	}
}
