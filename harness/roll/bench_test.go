package roll_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seatrial/seatrial/harness/roll"
)

// BenchmarkCheck looks at 5000 nodes with 50,000 pods under 500 budgets. It may take 5 s on two cores.
func BenchmarkCheck(b *testing.B) {
	c := newCluster(b)
	o := roll.Options{Parallel: 10}
	for i := range 5000 {
		o.Nodes = append(o.Nodes, fmt.Sprintf("n-%04d", i))
	}
	c.nodes(strings.Join(o.Nodes, " "), "16")
	for i := range 500 {
		var nodes []string
		for j := range 100 {
			nodes = append(nodes, o.Nodes[(i*100+j*7)%5000])
		}
		c.namespace = fmt.Sprintf("team-%03d", i)
		c.budget("app", maxUnavailable(10)).app("app", strings.Join(nodes, " "), cpu("1"), alone)
	}
	for b.Loop() {
		answer := c.check(o)
		if !answer.Possible || answer.Waves < 500 {
			b.Fatalf("possible: %t, %d waves", answer.Possible, answer.Waves)
		}
	}
}
