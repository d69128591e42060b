package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// row is one line of the table: something that was measured, and what it may at most be.
type row struct {
	what string
	ours measure
	// peer is what the peer needed for the same. Nil means that the limit is absolute.
	peer *measure
	// limit is a ratio to the peer or, without one, a value in the unit of ours.
	limit float64
}

// measure is a measured value, for which less is better: seconds, or bytes.
type measure struct {
	value float64
	unit  unit
}

// unit is what a measure counts.
type unit int

const (
	inSeconds unit = iota
	inBytes
)

func took(d time.Duration) measure { return measure{d.Seconds(), inSeconds} }
func uses(n int64) measure         { return measure{float64(n), inBytes} }

func (m measure) String() string {
	switch {
	case m.unit == inBytes:
		return fmt.Sprintf("%.0f MiB", m.value/(1<<20))
	case m.value < 1:
		return fmt.Sprintf("%.0f ms", 1000*m.value)
	}
	return fmt.Sprintf("%.2f s", m.value)
}

// held is what the limit is held against.
func (r row) held() float64 {
	if r.peer == nil {
		return r.ours.value
	}
	return r.ours.value / r.peer.value
}

// ok says whether the limit was kept. What was not measured (zero, or a ratio to zero) has not kept it. A drain that took less than its
// pods' grace period has a negative value, and has kept it.
func (r row) ok() bool {
	if r.ours.value == 0 || r.peer != nil && r.peer.value <= 0 {
		return false
	}
	return r.held() <= r.limit
}

// cells are the texts of the row.
func (r row) cells() []any {
	verdict := "ok"
	if !r.ok() {
		verdict = "OVER"
	}
	if r.peer == nil {
		return []any{r.what, r.ours, "-", "-", measure{r.limit, r.ours.unit}, verdict}
	}
	return []any{r.what, r.ours, *r.peer, fmt.Sprintf("%.2f", r.held()), fmt.Sprintf("%.2f", r.limit), verdict}
}

// printTable prints the rows and returns how many are over their limit.
func printTable(out io.Writer, rows []row) (over int, err error) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tours\tpeer\tratio\tlimit\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%v\t%v\t%v\t%v\t%v\t%v\n", r.cells()...)
		if !r.ok() {
			over++
		}
	}
	return over, t.Flush()
}
