package cluster

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func TestPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		refused := errors.New("connection refused")
		began := time.Now()
		requests := Patient(transport(func(*http.Request) (*http.Response, error) {
			if time.Since(began) < time.Minute {
				return nil, refused
			}
			return &http.Response{StatusCode: http.StatusOK}, nil
		}))
		send := func(ctx context.Context, method string) error {
			request, err := http.NewRequestWithContext(ctx, method, "https://127.0.0.1/api/v1/pods", http.NoBody)
			g.Expect(err).NotTo(HaveOccurred())
			_, err = requests.RoundTrip(request)
			return err
		}
		g.Expect(send(t.Context(), http.MethodPost)).To(MatchError(refused), "it may have been done")
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		g.Expect(send(short, http.MethodGet)).To(MatchError(refused), "its time is over")
		g.Expect(send(t.Context(), http.MethodGet)).To(Succeed())
		g.Expect(time.Since(began)).To(BeNumerically("~", time.Minute, askAgain), "it is there right after the API is")
	})
}
