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
		"panic":   {[]string{"panic: unrecognized feature gate: X", "", "goroutine 1 [running]:", "main.main()"}, "unrecognized feature gate: X"},
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
	for _, err := range []error{context.DeadlineExceeded, &proc.ExitError{Status: -1}, &proc.ExitError{Status: 126}, &proc.ExitError{Status: 137}} {
		_, got := flagcheck.Answer("kubelet", err)
		g.Expect(got).To(MatchError(err))
	}
}

// TestKubelet: what a kubelet of v1.34 prints that is given the impossible flag, and one that has more to say.
func TestKubelet(t *testing.T) {
	const impossible = "invalid configuration: maxPods (--max-pods) -1 must not be a negative number"
	for name, c := range map[string]struct {
		said, refusal string
		status        int
	}{
		"taken":            {said: "failed to validate kubelet configuration, error: " + impossible + ", path: &TypeMeta{Kind:,APIVersion:,}"},
		"invalid":          {said: "failed to validate kubelet configuration, error: [" + impossible + ", invalid configuration: port (--port) -2 must be positive], path: &TypeMeta{}", refusal: "invalid configuration: port (--port) -2 must be positive"},
		"gate on the line": {said: "failed to set feature gates from initial flags-based config: unrecognized feature gate: Y", refusal: "failed to set feature gates from initial flags-based config: unrecognized feature gate: Y"},
		"flag":             {said: "failed to parse kubelet flag: unknown flag: --gone", refusal: "failed to parse kubelet flag: unknown flag: --gone"},
	} {
		t.Run(name, func(t *testing.T) {
			line := fmt.Sprintf(`E1126 15:36:07.641753    4349 run.go:72] "command failed" err=%q`, c.said)
			NewWithT(t).Expect(flagcheck.Kubelet(&proc.ExitError{Status: 1, LastLines: []string{line}})).To(Equal(cluster.FlagCheck{Component: "kubelet", Refusal: c.refusal}))
		})
	}
	g := NewWithT(t)
	inFile := &proc.ExitError{Status: 2, LastLines: []string{"panic: failed to merge global and in-flight KubeletConfiguration while setting defaults, error: unrecognized feature gate: X"}}
	g.Expect(flagcheck.Kubelet(inFile)).To(HaveField("Refusal", HaveSuffix("unrecognized feature gate: X")))
	_, err := flagcheck.Kubelet(nil)
	g.Expect(err).To(MatchError(ContainSubstring("expected the kubelet to refuse --max-pods=-1")))
	_, err = flagcheck.Kubelet(context.DeadlineExceeded)
	g.Expect(err).To(MatchError(context.DeadlineExceeded))
}
