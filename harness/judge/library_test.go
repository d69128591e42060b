package judge_test

import (
	"testing"

	"github.com/seatrial/seatrial/harness/judge"
)

func TestLibraryIsTestedAndCovered(t *testing.T) {
	l, err := judge.Load(judge.Embedded())
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Test(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range r.Tests {
		if !result.Passed {
			t.Errorf("%s (%s) failed: %s", result.Name, result.At, result.Output)
		}
	}
	for _, line := range r.Uncovered {
		t.Errorf("%s is not covered by a test", line)
	}
	if !r.Passed() {
		t.Errorf("the library's tests did not pass: %d tests, coverage %.1f %%", len(r.Tests), r.Coverage)
	}
}
