// Package progress says how far long work is: on a terminal in one line that it writes again every second, elsewhere in a line every ten
// seconds, so that a CI log stays readable.
//
//	p := progress.New(os.Stderr)
//	defer p.Finish()
//	p.Update("downloading %s: %s", name, progress.Elapsed(started))
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Progress writes what long work says. Its methods may be called from several goroutines.
type Progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal *os.File // nil when w is none
	every    time.Duration
	last     time.Time
	open     bool // the terminal's line has something on it
}

// New returns a progress that writes to w.
func New(w io.Writer) *Progress {
	p := &Progress{w: w, every: 10 * time.Second}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.terminal, p.every = file, time.Second
	}
	return p
}

// Say writes a line, always.
func (p *Progress) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
	p.last = time.Now()
}

// Update writes how far the work is, when it is time.
func (p *Progress) Update(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	text := fmt.Sprintf(format, args...)
	if p.terminal == nil {
		fmt.Fprintln(p.w, text)
		return
	}
	// A line that wraps could not be written over.
	if width, _, err := term.GetSize(int(p.terminal.Fd())); err == nil && width > 1 && len(text) >= width {
		text = text[:width-1]
	}
	p.clear()
	fmt.Fprint(p.w, text)
	p.open = true
}

// Finish leaves the terminal at the beginning of an empty line.
func (p *Progress) Finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *Progress) clear() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
}

// Elapsed is the time since then, in whole seconds: "1m12s".
func Elapsed(since time.Time) time.Duration { return time.Since(since).Round(time.Second) }
