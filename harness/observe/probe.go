package observe

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seatrial/seatrial/harness/trace"
)

// Probe is a client that asks the same thing again and again.
type Probe struct {
	// Subject is how the trace names it: "service/production/web:80", "api/balancer".
	Subject string
	// Interval between the beginnings of two requests.
	Interval time.Duration
	// Ask makes one request.
	Ask func(ctx context.Context) error
}

// Probes is a set of running probes.
type Probes struct {
	cancel   context.CancelFunc
	answered sync.WaitGroup // one for each probe that has no answer yet
	done     sync.WaitGroup

	mu          sync.Mutex
	err         error
	standstills []trace.StandstillData
}

// StartProbes begins to ask. Each probe records its first answer, every change of its answer, and one event when it stops, so that
// a trace grows with what happens and not with time. It returns when every probe has had an answer, be it yes or no.
func StartProbes(ctx context.Context, probes []Probe, record Recorder) *Probes {
	ctx, cancel := context.WithCancel(ctx)
	p := &Probes{cancel: cancel}
	for _, probe := range probes {
		p.answered.Add(1)
		p.done.Go(func() {
			if err := probe.run(ctx, record, sync.OnceFunc(p.answered.Done)); err != nil {
				p.fail(err)
			}
		})
	}
	p.done.Go(func() { p.feelPulse(ctx, record) })
	p.answered.Wait()
	return p
}

func (p *Probes) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = errors.Join(p.err, err)
}

// Stop ends the probes, after each has recorded its last answer, and returns what went wrong with recording. It may be called again.
func (p *Probes) Stop() error {
	p.cancel()
	p.done.Wait()
	return p.err
}

// run asks until ctx ends, and calls answered after the first answer, or when there will be none.
func (p Probe) run(ctx context.Context, record Recorder, answered func()) error {
	defer answered()
	ticker := time.NewTicker(p.Interval)
	defer ticker.Stop()
	var last error
	count := -1 // answers equal to the recorded one; -1 before the first
	put := func(err error, took time.Duration, count int) error {
		change, data := trace.ProbeOK, trace.ProbeData{Count: max(count, 0), TookSeconds: took.Seconds(), IntervalSeconds: p.Interval.Seconds(), PatienceSeconds: p.patience().Seconds()}
		if err != nil {
			change, data.Error = trace.ProbeFail, err.Error()
		}
		return record(trace.Event{Kind: trace.KindProbe, Subject: p.Subject, Change: change}, data)
	}
	for {
		began := time.Now()
		err := p.ask(ctx)
		if ctx.Err() != nil {
			if count < 0 {
				return nil
			}
			return put(last, 0, count)
		}
		if count < 0 || (err == nil) != (last == nil) {
			if e := put(err, time.Since(began), count); e != nil {
				return e
			}
			last, count = err, 0
			answered()
		} else {
			count++
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (p Probe) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.patience())
	defer cancel()
	return p.Ask(ctx)
}

// patience is how long one request may take.
func (p Probe) patience() time.Duration { return max(p.Interval, time.Second) }
