package balancer

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"
	"time"
)

const (
	// HealthInterval is how often backends are to be asked whether they are healthy; kind has Envoy ask every two seconds.
	HealthInterval = time.Second
	// HealthTimeout is how long a backend may take to say so, as kind has it.
	HealthTimeout = 3 * time.Second
	// unhealthyThreshold is how often in a row it has to fail before it gets no connections, as kind has it; one success gives it connections again.
	unhealthyThreshold = 2
)

// Health remembers how often each backend failed to say that it is healthy. Its zero value is ready for use, by one goroutine.
type Health struct {
	failed map[string]int // in a row, by backend
}

// Healthy asks each backend once, at its /healthz, and returns those that have not failed too often in a row. When there is none, it returns all of them:
// a client's own error says more than a closed port.
func (h *Health) Healthy(ctx context.Context, backends []string) []string {
	var checking sync.WaitGroup
	ok := make([]bool, len(backends))
	for i, backend := range backends {
		checking.Go(func() { ok[i] = check(ctx, backend) })
	}
	checking.Wait()
	failed := map[string]int{}
	var good []string
	for i, backend := range backends {
		if !ok[i] {
			failed[backend] = h.failed[backend] + 1
		}
		if failed[backend] < unhealthyThreshold {
			good = append(good, backend)
		}
	}
	h.failed = failed
	if len(good) == 0 {
		return backends
	}
	return good
}

// asker trusts any certificate, as kind has Envoy do: only whether the backend is well is asked. It asks on a connection of its own, as new clients come.
var asker = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}

func check(ctx context.Context, backend string) bool {
	ctx, cancel := context.WithTimeout(ctx, HealthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+backend+"/healthz", nil)
	if err != nil {
		return false
	}
	answer, err := asker.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
