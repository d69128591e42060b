package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// lastLines is how many lines of output an ExitError has.
	lastLines = 50
	// maxLine bounds the memory that one line takes, in bytes. A longer one is cut into pieces.
	maxLine = 16 << 10
	// drainTimeout bounds the wait for the end of the output of a process that is gone: a child of it that left the group
	// can hold the pipe open.
	drainTimeout = time.Second
)

// output reads what a process writes: into its log file, into the ring of its last lines, and to OnLine.
type output struct {
	pipe   *os.File
	write  *os.File // the child's end
	log    *os.File // nil discards
	onLine func(string)
	last   ring
	done   chan struct{}
}

func newOutput(c Command) (*output, error) {
	o := &output{onLine: c.OnLine, done: make(chan struct{})}
	if c.Log != "" {
		log, err := os.OpenFile(c.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		o.log = log
	}
	var err error
	if o.pipe, o.write, err = os.Pipe(); err != nil {
		if o.log != nil {
			o.log.Close()
		}
		return nil, err
	}
	return o, nil
}

// abandon closes everything of a process that could not be started.
func (o *output) abandon() {
	o.write.Close()
	o.pipe.Close()
	if o.log != nil {
		o.log.Close()
	}
}

// read reads until the last writer has closed its end.
func (o *output) read() {
	defer close(o.done)
	o.write.Close()
	defer o.pipe.Close()
	if o.log != nil {
		defer o.log.Close()
	}
	reader := bufio.NewReaderSize(o.pipe, maxLine)
	for {
		line, err := reader.ReadSlice('\n')
		if len(line) > 0 {
			o.take(line)
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded):
			return
		default:
			o.last.add(fmt.Sprintf("seatrial: read output: %v", err))
			return
		}
	}
}

// take handles one line, or a piece of a long one.
func (o *output) take(line []byte) {
	text := string(line)
	if text[len(text)-1] == '\n' {
		text = text[:len(text)-1]
	}
	o.last.add(text)
	if o.log != nil {
		if _, err := o.log.Write(line); err != nil {
			// A process without a log is better than none: its last lines say why it has none.
			o.last.add(fmt.Sprintf("seatrial: %v", err))
			o.log.Close()
			o.log = nil
		}
	}
	if o.onLine != nil {
		o.onLine(text)
	}
}

// finish waits for the rest of the output of a process that is gone.
func (o *output) finish() {
	// A pipe takes deadlines; if it would not, the reader would still end with the last writer.
	_ = o.pipe.SetReadDeadline(time.Now().Add(drainTimeout))
	<-o.done
}

// ring keeps the last lines. It is written by the reader and read when the reader is done.
type ring struct {
	kept  [lastLines]string
	added int
}

func (r *ring) add(line string) {
	r.kept[r.added%lastLines] = line
	r.added++
}

// lines are the kept lines, oldest first.
func (r *ring) lines() []string {
	n := min(r.added, lastLines)
	lines := make([]string, 0, n)
	for i := r.added - n; i < r.added; i++ {
		lines = append(lines, r.kept[i%lastLines])
	}
	return lines
}
