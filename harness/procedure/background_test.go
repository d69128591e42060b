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
		b.After(30*time.Second, "node/a has power", func(context.Context) error { took = time.Since(began); return nil })
		b.After(time.Second, "node/b has power", func(context.Context) error { return errors.New("no current") })
		short, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errors.New("too late"))
		defer cancel()
		g.Expect(b.Wait(short)).To(MatchError("wait until node/a has power: too late"))
		g.Expect(b.Wait(t.Context())).To(MatchError("no current"))
		g.Expect(took).To(Equal(30 * time.Second))

		b.After(time.Hour, "node/c has power", func(context.Context) error { return nil })
		b.Stop()
		g.Expect(time.Since(began)).To(BeNumerically("<", time.Hour), "what is under way ends with Stop")
		g.Expect(b.Wait(t.Context())).To(MatchError(context.Canceled))
	})
}
