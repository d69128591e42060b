package observe

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/trace"
)

// TestPulse notes a beat that came too late, and none that was late as beats are.
func TestPulse(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	beats := make(chan time.Time)
	var noted []trace.StandstillData
	done := make(chan error)
	go func() {
		done <- pulse(ctx, beats, func(s trace.StandstillData) error { noted = append(noted, s); return nil })
	}()
	began := time.Now()
	for _, at := range []time.Duration{0, 100, 350, 1050, 1150, 2500} { // milliseconds
		beats <- began.Add(at * time.Millisecond)
	}
	cancel()
	g.Expect(<-done).To(Succeed())
	g.Expect(noted).To(HaveExactElements(HaveField("Seconds", BeNumerically("~", 0.6)), HaveField("Seconds", BeNumerically("~", 1.25))))
}
