package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// entry is one line of the journal.
type entry struct {
	Time time.Time `json:"time"`
	Op   string    `json:"op,omitempty"`
	// State of the op, as in the trace.
	State string `json:"state,omitempty"`
	// Undo is what must be undone if nothing more is written: it is in the journal before it is done.
	Undo *undo `json:"undo,omitempty"`
}

// undo names something outside the run's folder that the run makes.
type undo struct {
	// StateDir is the cluster's folder of keys and data.
	StateDir string `json:"stateDir"`
}

// journal is what a run has begun and ended. Every entry is on disk before the run goes on.
type journal struct {
	now func() time.Time

	mu   sync.Mutex
	file *os.File
}

func openJournal(f Folder, now func() time.Time) (*journal, error) {
	file, err := os.OpenFile(f.file(journalFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("make the journal: %w", err)
	}
	return claimed(file, now)
}

// reopenJournal goes on with the journal of a process that was killed. While that lives, the run is its own.
func reopenJournal(f Folder, now func() time.Time) (*journal, error) {
	file, err := os.OpenFile(f.file(journalFile), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	return claimed(file, now)
}

// claimed locks the journal: the lock ends with the process.
func claimed(file *os.File, now func() time.Time) (*journal, error) {
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another process has the run under way: %w", ErrNotResumable), file.Close())
	}
	return &journal{now: now, file: file}, nil
}

func (j *journal) write(e entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Time = j.now().UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode journal entry: %w", err)
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

func (j *journal) close() error { return j.file.Close() }
