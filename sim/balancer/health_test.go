package balancer_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/sim/balancer"
)

// answering is a backend whose /healthz has the status.
func answering(t *testing.T, status int) string {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			w.WriteHeader(status)
		} else {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestHealthy(t *testing.T) {
	g := NewWithT(t)
	good, too := answering(t, http.StatusOK), answering(t, http.StatusOK)
	starting, forbidden, dead := answering(t, http.StatusInternalServerError), answering(t, http.StatusForbidden), dead(t)
	plain := httptest.NewServer(http.NotFoundHandler()) // no TLS
	defer plain.Close()
	for name, backends := range map[string]struct{ given, want []string }{
		"all good":           {[]string{good, too}, []string{good, too}},
		"some bad":           {[]string{dead, good, starting, forbidden, too, plain.Listener.Addr().String()}, []string{good, too}},
		"all bad":            {[]string{dead, starting}, []string{dead, starting}},
		"not even addresses": {[]string{"c control plane", good}, []string{good}},
		"none":               {nil, nil},
	} {
		var h balancer.Health
		g.Expect(h.Healthy(t.Context(), backends.given)).To(Equal(backends.given), "%s: once is not too often", name)
		g.Expect(h.Healthy(t.Context(), backends.given)).To(Equal(backends.want), name)
	}
}

// TestHealthyAgain: one success gives a backend connections again, and takes back what it failed before.
func TestHealthyAgain(t *testing.T) {
	g := NewWithT(t)
	well := true
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !well {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer s.Close()
	one, other := s.Listener.Addr().String(), answering(t, http.StatusOK)
	var h balancer.Health
	for _, step := range []struct{ well, in bool }{{true, true}, {false, true}, {true, true}, {false, true}, {false, false}, {false, false}, {true, true}, {false, true}} {
		well = step.well
		want := []string{other}
		if step.in {
			want = []string{one, other}
		}
		g.Expect(h.Healthy(t.Context(), []string{one, other})).To(Equal(want), "%+v", step)
	}
}
