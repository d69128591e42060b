package flagcheck_test

import (
	"context"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/flagcheck"
	"github.com/seatrial/seatrial/sim/proc"
)

// TestAnswer: the last line says why; in klog's form the error is what follows err=.
func TestAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		lines   []string
		refusal string
	}{
		"klog": {
			[]string{"I1126 09:00:00.000000       1 server.go:1] starting", `E1126 09:00:00.123456       1 run.go:72] "command failed" err="invalid argument \"X=true\" for \"--feature-gates\" flag: unrecognized feature gate: X"`},
			`invalid argument "X=true" for "--feature-gates" flag: unrecognized feature gate: X`,
		},
		"cobra":   {[]string{"Error: unknown flag: --gone"}, "unknown flag: --gone"},
		"foreign": {[]string{`E1126 something else`}, "E1126 something else"},
		"silent":  {nil, "it ended and said nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			ended := fmt.Errorf("run it: %w", &proc.ExitError{Status: 1, LastLines: c.lines})
			NewWithT(t).Expect(flagcheck.Answer("kubelet", ended)).To(Equal(cluster.FlagCheck{Component: "kubelet", Refusal: c.refusal}))
		})
	}
}

// TestNoAnswer: a program that ended well takes its flags, and one that was never run, or killed, said nothing.
func TestNoAnswer(t *testing.T) {
	g := NewWithT(t)
	g.Expect(flagcheck.Answer("kubelet", nil)).To(Equal(cluster.FlagCheck{Component: "kubelet"}))
	for _, err := range []error{context.DeadlineExceeded, &proc.ExitError{Status: -1}} {
		_, got := flagcheck.Answer("kubelet", err)
		g.Expect(got).To(MatchError(err))
	}
}
