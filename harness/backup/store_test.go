package backup

import (
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

// TestMoving: an answer is awaited as long as the request still moves, and no longer than the time for that when nothing does.
func TestMoving(t *testing.T) {
	for name, c := range map[string]struct {
		rest time.Duration // of the store, before each byte that it takes
		want string
	}{
		"a long request":     {rest: 20 * time.Second, want: ""},
		"a store that rests": {rest: 40 * time.Second, want: "i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				var store sync.WaitGroup
				defer store.Wait()
				ours, theirs := net.Pipe()
				defer ours.Close()
				defer theirs.Close()
				conn := moving{ours, 30 * time.Second}
				answered := make(chan error, 1)
				go func() {
					_, err := conn.Read(make([]byte, 1))
					answered <- err
				}()
				store.Go(func() {
					for range 3 {
						time.Sleep(c.rest)
						_, _ = io.ReadFull(theirs, make([]byte, 1))
					}
					_, _ = theirs.Write([]byte("y"))
				})
				for range 3 {
					_, _ = conn.Write([]byte("x"))
				}
				err := <-answered
				if c.want == "" {
					g.Expect(err).NotTo(HaveOccurred())
					return
				}
				g.Expect(err).To(MatchError(ContainSubstring(c.want)))
			})
		})
	}
}
