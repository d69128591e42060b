package cluster_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/cluster"
)

// TestRefused: the last line says why; in klog's form the error is what follows err=.
func TestRefused(t *testing.T) {
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
			NewWithT(t).Expect(cluster.Refused("kubelet", c.lines)).To(Equal(cluster.FlagCheck{Component: "kubelet", Refusal: c.refusal}))
		})
	}
}
