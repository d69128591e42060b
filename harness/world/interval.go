package world

import (
	"cmp"
	"slices"
	"time"

	"github.com/seatrial/seatrial/harness/trace"
)

// intervals keeps, for each condition of each subject, when it began and when it ended.
type intervals struct {
	open  map[intervalKey]Interval
	ended []Interval
	// unseen are those of the open ones that nobody has looked at since a moment, by the last event before it: what they are now is not known.
	unseen map[intervalKey]trace.Event
}

type intervalKey struct{ condition, subject string }

func newIntervals() *intervals {
	return &intervals{open: map[intervalKey]Interval{}, unseen: map[intervalKey]trace.Event{}}
}

// set says whether the condition holds from the event on.
func (i *intervals) set(condition, subject string, holds bool, e trace.Event, reason string) {
	key := intervalKey{condition, subject}
	if last, ok := i.unseen[key]; ok {
		i.end(key, last) // what nobody saw is not judged, also when it holds again, or still
	}
	_, open := i.open[key]
	switch {
	case holds && !open:
		i.open[key] = Interval{Condition: condition, Subject: subject, From: e.Time, FromSeq: e.Seq, Reason: reason}
	case !holds && open:
		i.end(key, e)
	}
}

// first says how long the request took whose failure is the event, if an interval began with it.
func (i *intervals) first(condition string, e trace.Event, seconds float64) {
	key := intervalKey{condition, e.Subject}
	if iv, open := i.open[key]; open && iv.FromSeq == e.Seq {
		iv.FirstSeconds = seconds
		i.open[key] = iv
	}
}

// end ends an open interval with an event.
func (i *intervals) end(key intervalKey, e trace.Event) {
	i.ended = append(i.ended, i.open[key].until(e.Time, e.Seq))
	delete(i.open, key)
	delete(i.unseen, key)
}

// lookAway says that after the event nobody looked at what these conditions are.
func (i *intervals) lookAway(last trace.Event, conditions map[string]bool) {
	for key := range i.open {
		if conditions[key.condition] {
			i.unseen[key] = last
		}
	}
}

func (iv Interval) until(t time.Time, seq int64) Interval {
	iv.To, iv.ToSeq, iv.Seconds = t, seq, t.Sub(iv.From).Seconds()
	return iv
}

func (i *intervals) list(now time.Time, seq int64) []Interval {
	all := slices.Clone(i.ended)
	for _, iv := range i.open {
		iv = iv.until(now, seq)
		iv.Open = true
		all = append(all, iv)
	}
	slices.SortFunc(all, func(a, b Interval) int {
		return cmp.Or(cmp.Compare(a.FromSeq, b.FromSeq), cmp.Compare(a.Condition, b.Condition), cmp.Compare(a.Subject, b.Subject))
	})
	return all
}

func (i *intervals) restart(now time.Time, seq int64) {
	i.ended = nil
	for key, iv := range i.open {
		iv.From, iv.FromSeq = now, seq
		i.open[key] = iv
	}
}
