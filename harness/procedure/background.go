package procedure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Background is what ops leave to be done later, while others are performed: faults end so.
type Background struct {
	ctx  context.Context
	stop context.CancelFunc

	mu     sync.Mutex
	tasks  []*task
	joined sync.WaitGroup
}

// task is one thing that is done later.
type task struct {
	what string
	done chan struct{}
	err  error
}

// NewBackground returns one whose tasks end with the context at the latest.
func NewBackground(ctx context.Context) *Background {
	b := &Background{}
	b.ctx, b.stop = context.WithCancel(ctx)
	return b
}

// After does something when the time has passed, and gives it so long. what says it for people: "node/cp-2 has power again".
func (b *Background) After(d, timeout time.Duration, what string, do func(context.Context) error) {
	t := &task{what: what, done: make(chan struct{})}
	b.mu.Lock()
	b.tasks = append(b.tasks, t)
	b.mu.Unlock()
	b.joined.Go(func() {
		defer close(t.done)
		select {
		case <-time.After(d):
			ctx, cancel := context.WithTimeoutCause(b.ctx, timeout, fmt.Errorf("not within %s", timeout))
			defer cancel()
			t.err = do(ctx)
		case <-b.ctx.Done():
			t.err = b.ctx.Err()
		}
	})
}

// Wait waits for all that was left to be done, and says what went wrong with it.
func (b *Background) Wait(ctx context.Context) error {
	b.mu.Lock()
	tasks := b.tasks
	b.mu.Unlock()
	var errs []error
	for _, t := range tasks {
		select {
		case <-t.done:
			errs = append(errs, t.err)
		case <-ctx.Done():
			return errors.Join(append(errs, fmt.Errorf("wait until %s: %w", t.what, context.Cause(ctx)))...)
		}
	}
	return errors.Join(errs...)
}

// Stop ends what is under way, and waits until it has ended.
func (b *Background) Stop() {
	b.stop()
	b.joined.Wait()
}
