package restore

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// TestAnswered: that a server can't decrypt is its answer; that nobody listens, or that the time is over, is none.
func TestAnswered(t *testing.T) {
	g := NewWithT(t)
	g.Expect(answered(fmt.Errorf("list: %w", apierrors.NewInternalError(errors.New("no matching key was found"))))).To(BeTrue())
	g.Expect(answered(fmt.Errorf("dial tcp 127.0.0.1:1: %w", syscall.ECONNREFUSED))).To(BeFalse())
}
