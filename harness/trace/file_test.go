package trace

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func clock() func() time.Time {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return func() time.Time { now = now.Add(time.Second); return now }
}

// TestRoundTrip reads what was written.
func TestRoundTrip(t *testing.T) {
	g := NewWithT(t)
	var out bytes.Buffer
	w := NewWriter(&out, clock())
	_, err := w.Record(Event{Op: "drain", Kind: KindProbe, Subject: "api/balancer", Change: ProbeFail}, ProbeData{Error: "refused", IntervalSeconds: 0.2})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = w.Record(Event{Kind: KindNote, Subject: "run/x"}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	events, err := ReadAll(&out)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(events).To(HaveLen(2))
	g.Expect(events[0].Seq).To(Equal(int64(1)))
	var data ProbeData
	g.Expect(events[0].Unmarshal(&data)).To(Succeed())
	g.Expect(data.Error).To(Equal("refused"))
}

// TestDamaged must not take a trace with a hole in it for a whole one.
func TestDamaged(t *testing.T) {
	const one, three = `{"seq":1,"time":"2026-01-01T00:00:01Z","kind":"note","subject":"run/x"}`, `{"seq":3,"time":"2026-01-01T00:00:03Z","kind":"note","subject":"run/x"}`
	for name, content := range map[string]string{
		"a gap":           one + "\n" + three + "\n",
		"a torn line":     one + "\n" + three[:20],
		"not JSON":        "hello\n",
		"an unknown kind": strings.Replace(one, "note", "rumour", 1) + "\n",
		"twice the same":  one + "\n" + one + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadAll(strings.NewReader(content))
			NewWithT(t).Expect(err).To(MatchError(ErrDamaged))
		})
	}
}

type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, errors.New("no space left")
	}
	return len(p), nil
}

// TestTheFirstErrorSticks: what follows a lost event is not recorded as if nothing had been lost.
func TestTheFirstErrorSticks(t *testing.T) {
	g := NewWithT(t)
	disk := &fullDisk{room: 120}
	w := NewWriter(disk, clock())
	_, err := w.Record(Event{Kind: KindNote, Subject: "run/x"}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = w.Record(Event{Kind: KindNote, Subject: "run/x"}, nil)
	g.Expect(err).To(MatchError(ContainSubstring("no space left")))
	disk.room = 1000
	_, err = w.Record(Event{Kind: KindNote, Subject: "run/x"}, nil)
	g.Expect(err).To(HaveOccurred())
	g.Expect(w.Err()).To(MatchError(ContainSubstring("write trace event 2")))
}

// FuzzReader must never panic, nor take anything but a Writer's bytes for a whole trace.
func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"seq":1,"time":"2026-01-01T00:00:01Z","kind":"note","subject":"run/x"}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		events, err := ReadAll(bytes.NewReader(content))
		for i, e := range events {
			if e.Seq != int64(i)+1 {
				t.Fatalf("event %d has number %d", i+1, e.Seq)
			}
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("untyped error: %v", err)
		}
	})
}
