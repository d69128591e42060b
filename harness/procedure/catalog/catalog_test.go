package catalog

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/scenario"
)

// TestEveryKindHasAProcedure keeps the format and the catalog the same list, in the same order.
func TestEveryKindHasAProcedure(t *testing.T) {
	g := NewWithT(t)
	var kinds []string
	for _, p := range Procedures {
		kinds = append(kinds, p.Kind())
		g.Expect(Find(p.Kind())).NotTo(BeNil())
	}
	g.Expect(kinds).To(Equal(scenario.Kinds()))
	g.Expect(Find("reboot")).To(BeNil())
}
