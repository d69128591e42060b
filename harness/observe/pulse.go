package observe

import (
	"context"
	"time"

	"github.com/seatrial/seatrial/harness/trace"
)

const (
	// beat is the time between two beats of the pulse.
	beat = 100 * time.Millisecond
	// missed is how late a beat is when it is noted: half of the second that a probe waits for an answer.
	missed = 500 * time.Millisecond
)

// pulse notes, of beats that come every beat, those that were missed. It ends with ctx.
func pulse(ctx context.Context, beats <-chan time.Time, note func(trace.StandstillData) error) error {
	var last time.Time
	for {
		select {
		case now := <-beats:
			if late := now.Sub(last) - beat; !last.IsZero() && late > missed {
				if err := note(trace.StandstillData{Seconds: late.Seconds()}); err != nil {
					return err
				}
			}
			last = now
		case <-ctx.Done():
			return nil
		}
	}
}

// feelPulse begins to look whether this machine stands still.
func (p *Probes) feelPulse(ctx context.Context, record Recorder) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	err := pulse(ctx, ticker.C, func(s trace.StandstillData) error {
		p.mu.Lock()
		p.standstills = append(p.standstills, s)
		p.mu.Unlock()
		return record(trace.Event{Kind: trace.KindNote, Subject: "machine", Change: trace.StoodStill}, s)
	})
	if err != nil {
		p.fail(err)
	}
}

// Standstills are the times in which this machine did not run while the probes asked.
func (p *Probes) Standstills() []trace.StandstillData {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.standstills
}
