package release

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress says on a terminal, in one line that it writes again every second, how far long work is; elsewhere a
// line every ten seconds, so that a CI log stays readable.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal *os.File // nil when w is none
	every    time.Duration
	last     time.Time
	open     bool // the terminal's line has something on it
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, every: 10 * time.Second}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.terminal, p.every = file, time.Second
	}
	return p
}

// say writes a line, always.
func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
	p.last = time.Now()
}

// update writes how far the work is, when it is time.
func (p *progress) update(format string, args ...any) {
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

// finish leaves the terminal at the beginning of an empty line.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *progress) clear() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
}

// elapsed is the time since then, in whole seconds: "1m12s".
func elapsed(since time.Time) time.Duration { return time.Since(since).Round(time.Second) }
