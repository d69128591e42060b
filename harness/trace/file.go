package trace

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
)

// MaxLine is the longest line, in bytes, that a reader accepts.
const MaxLine = 8 << 20

// Writer appends events to a trace. It may be used from many goroutines at once.
type Writer struct {
	now func() time.Time

	mu  sync.Mutex
	out io.Writer
	seq int64
	err error
}

// NewWriter returns a writer that numbers events from 1 and stamps them with now. Each event is one Write to out.
func NewWriter(out io.Writer, now func() time.Time) *Writer {
	return &Writer{out: out, now: now}
}

// ContinueWriter returns a writer that goes on after the event with that number.
func ContinueWriter(out io.Writer, now func() time.Time, last int64) *Writer {
	return &Writer{out: out, now: now, seq: last}
}

// Record appends an event. Seq and Time are filled in; data is encoded as JSON, nil for none. The first error sticks, so
// that a trace with a hole in it can't be taken for a whole one; Err returns it.
func (w *Writer) Record(e Event, data any) (Event, error) {
	if data != nil {
		raw, err := json.Marshal(data)
		if err != nil {
			return e, w.fail(fmt.Errorf("encode data of %s %s: %w", e.Kind, e.Subject, err))
		}
		e.Data = raw
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return e, w.err
	}
	w.seq++
	e.Seq, e.Time = w.seq, w.now().UTC()
	line, err := json.Marshal(e)
	if err == nil {
		_, err = w.out.Write(append(line, '\n'))
	}
	if err != nil {
		w.err = fmt.Errorf("write trace event %d: %w", e.Seq, err)
		return e, w.err
	}
	return e, nil
}

func (w *Writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
	return w.err
}

// Err returns the first error of any Record.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Reader reads a trace from its beginning.
type Reader struct {
	lines *bufio.Scanner
	seq   int64
}

// NewReader reads events from in.
func NewReader(in io.Reader) *Reader {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), MaxLine)
	return &Reader{lines: lines}
}

// ErrDamaged is wrapped by the errors of a trace that can't be what a Writer wrote: broken JSON, a gap in the numbers, an
// unknown kind. Such a trace is no evidence.
var ErrDamaged = errors.New("trace is damaged")

// Next returns the next event, or io.EOF after the last.
func (r *Reader) Next() (Event, error) {
	var e Event
	if !r.lines.Scan() {
		if err := r.lines.Err(); err != nil {
			return e, fmt.Errorf("read trace after event %d: %w", r.seq, errors.Join(ErrDamaged, err))
		}
		return e, io.EOF
	}
	if err := jsonv2.Unmarshal(r.lines.Bytes(), &e); err != nil {
		return e, fmt.Errorf("read trace after event %d: %w", r.seq, errors.Join(ErrDamaged, err))
	}
	if e.Seq != r.seq+1 {
		return e, fmt.Errorf("read trace: event %d is followed by event %d: %w", r.seq, e.Seq, ErrDamaged)
	}
	if !known(e.Kind) {
		return e, fmt.Errorf("read trace: event %d has unknown kind %q: %w", e.Seq, e.Kind, ErrDamaged)
	}
	r.seq = e.Seq
	return e, nil
}

func known(k Kind) bool {
	for _, kind := range Kinds {
		if k == kind {
			return true
		}
	}
	return false
}

// ReadAll reads events until the end.
func ReadAll(in io.Reader) ([]Event, error) {
	r := NewReader(in)
	var events []Event
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
}
