package cluster

import (
	"net/http"
	"time"
)

// askAgain is the time between two attempts to reach an API that does not answer.
const askAgain = 200 * time.Millisecond

// Patient has the requests of watches wait while the API can't be reached, until their context ends. A reflector whose requests fail waits up to a minute before the next
// (client-go's defaultBackoffMax with its jitter), and the informers give no way to change that: what they know would be old long after an API server is back.
func Patient(next http.RoundTripper) http.RoundTripper { return patient{next} }

type patient struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper. Only what has no body is sent again.
func (p patient) RoundTrip(request *http.Request) (*http.Response, error) {
	for {
		response, err := p.next.RoundTrip(request)
		if err == nil || request.Method != http.MethodGet {
			return response, err
		}
		select {
		case <-time.After(askAgain):
		case <-request.Context().Done():
			return response, err
		}
	}
}
