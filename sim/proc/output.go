package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
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

// output reads what a process writes: into its log file, into the ring of its last lines, and to OnLine; and its stdout apart from that, when
// somebody wants it. It also writes what the process reads.
type output struct {
	pipe   *os.File
	write  *os.File // the child's end
	log    *os.File // nil discards
	onLine func(string)
	last   ring
	done   chan struct{}
	stdout *stream // nil: it goes with stderr
	stdin  *stream // nil: there is none
}

// stream is a pipe between a child and a reader or writer of ours.
type stream struct{ ours, childs *os.File }

func newOutput(c Command) (*output, error) {
	o := &output{onLine: c.OnLine, done: make(chan struct{})}
	if c.Log != "" {
		log, err := os.OpenFile(c.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		o.log = log
	}
	if err := o.open(c); err != nil {
		o.abandon()
		return nil, err
	}
	return o, nil
}

// open makes the pipes.
func (o *output) open(c Command) (err error) {
	if o.pipe, o.write, err = os.Pipe(); err != nil {
		return err
	}
	if c.Stdout != nil {
		o.stdout = &stream{}
		if o.stdout.ours, o.stdout.childs, err = os.Pipe(); err != nil {
			return err
		}
	}
	if c.Stdin != nil {
		o.stdin = &stream{}
		o.stdin.childs, o.stdin.ours, err = os.Pipe()
	}
	return err
}

// connect gives the child its ends.
func (o *output) connect(cmd *exec.Cmd) {
	cmd.Stdout, cmd.Stderr = o.write, o.write
	if o.stdout != nil {
		cmd.Stdout = o.stdout.childs
	}
	if o.stdin != nil {
		cmd.Stdin = o.stdin.childs
	}
}

// abandon closes everything of a process that could not be started. Closing what was not opened does nothing.
func (o *output) abandon() {
	o.write.Close()
	o.pipe.Close()
	o.log.Close()
	for _, s := range []*stream{o.stdout, o.stdin} {
		if s != nil {
			s.ours.Close()
			s.childs.Close()
		}
	}
}

// follow reads, and writes, in the background.
func (o *output) follow(c Command) {
	var copying sync.WaitGroup
	if o.stdout != nil {
		o.stdout.childs.Close()
		copying.Go(func() {
			defer o.stdout.ours.Close()
			// A reader that wants no more must not stop the process.
			if _, err := io.Copy(c.Stdout, o.stdout.ours); err != nil {
				_, _ = io.Copy(io.Discard, o.stdout.ours)
			}
		})
	}
	if o.stdin != nil {
		o.stdin.childs.Close()
		go func() { // not waited for: only the other side of c.Stdin can end it
			defer o.stdin.ours.Close()
			_, _ = io.Copy(o.stdin.ours, c.Stdin) // the process says what it misses
		}()
	}
	go func() {
		defer close(o.done)
		o.read()
		copying.Wait()
	}()
}

// read reads until the last writer has closed its end.
func (o *output) read() {
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
	if o.stdout != nil {
		_ = o.stdout.ours.SetReadDeadline(time.Now().Add(drainTimeout))
	}
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
