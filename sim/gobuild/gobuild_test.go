package gobuild

import (
	"slices"
	"strings"
	"testing"
)

func TestEnvironment(t *testing.T) {
	t.Setenv("GOFLAGS", "-tags=mine")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("GOPRIVATE", "example.com")
	env := environment("/work")
	for _, want := range []string{"GOPRIVATE=example.com", "CGO_ENABLED=0", "GOFLAGS=-mod=mod -buildvcs=false", "GOTMPDIR=/work/tmp"} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s in %q", want, env)
		}
	}
	if text := strings.Join(env, " "); strings.Contains(text, "secret") || strings.Contains(text, "mine") {
		t.Errorf("too much in %q", env)
	}
}
