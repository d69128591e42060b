package procedure

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

// TestBackground: what is left to be done is done in its time, its errors are not lost, and a wait says what it waited for.
func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := NewBackground(t.Context())
		began := time.Now()
		var took time.Duration
		b.After(30*time.Second, time.Minute, "node/a has power", func(context.Context) error { took = time.Since(began); return nil })
		b.After(time.Second, time.Minute, "node/b has power", func(context.Context) error { return errors.New("no current") })
		short, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errors.New("too late"))
		defer cancel()
		g.Expect(b.Wait(short)).To(MatchError("wait until node/a has power: too late"))
		g.Expect(b.Wait(t.Context())).To(MatchError("no current"))
		g.Expect(took).To(Equal(30 * time.Second))

		b.After(time.Second, time.Minute, "node/d has power", func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
		g.Expect(b.Wait(t.Context())).To(MatchError(ContainSubstring("not within 1m0s")), "what does not end is ended")
		g.Expect(time.Since(began)).To(BeNumerically("<", 2*time.Minute))

		b.After(time.Hour, time.Minute, "node/c has power", func(context.Context) error { return nil })
		b.Stop()
		g.Expect(time.Since(began)).To(BeNumerically("<", time.Hour), "what is under way ends with Stop")
		g.Expect(b.Wait(t.Context())).To(MatchError(context.Canceled))
	})
}
