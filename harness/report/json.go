package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/seatrial/seatrial/harness/judge"
)

// JSON writes the report as it is, indented. Equal reports give equal bytes, and a list is never null.
func JSON(w io.Writer, r Report) error {
	if r.Ops == nil {
		r.Ops = []Op{}
	}
	if r.Result.Policies == nil {
		r.Result.Policies = []judge.PolicyResult{}
	}
	if r.Result.Findings == nil {
		r.Result.Findings = []judge.Finding{}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write JSON report of run %q: %w", r.Run, err)
	}
	return nil
}
