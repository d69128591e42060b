package judge_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/world"
)

// BenchmarkRun judges a trace of 50,000 events by the whole library. It may take 5 s on two cores.
func BenchmarkRun(b *testing.B) {
	l, err := judge.Load(judge.Embedded())
	if err != nil {
		b.Fatal(err)
	}
	r := big(b, 50000)
	b.SetBytes(int64(r.out.Len()))
	before := cpu(b)
	for b.Loop() {
		result, err := l.Run(b.Context(), r.reader(), drainPlan(scenario.Drain{}), world.New(), scenario.Policies{})
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range result.Policies {
			if p.Outcome == judge.Unknown {
				b.Errorf("policy %s: %s", p.ID, p.Reason)
			}
		}
	}
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s/op")
}

// cpu is the processor time that this process took so far: on a busy machine it tells more than the clock.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
