package upgrade

import (
	"testing"

	. "github.com/onsi/gomega"
)

// TestNewer: what is newer than the target, if only by a patch, keeps the cluster from being upgraded, and so does a target that everything has.
func TestNewer(t *testing.T) {
	for _, test := range []struct {
		now    map[string]string
		to     string
		errors string
	}{
		{map[string]string{"api/cp-1": "v1.33.13", "node/cp-1": "v1.33.13"}, "v1.34.4", ""},
		{map[string]string{"api/cp-1": "v1.33.2", "node/cp-1": "v1.33.2"}, "v1.33.13", ""},
		{map[string]string{"api/cp-1": "v1.34.4", "node/worker-1": "v1.33.13"}, "v1.34.4", ""},
		{map[string]string{"api/cp-1": "v1.33.13", "node/cp-1": "v1.33.13"}, "v1.33.2", "api/cp-1: it is v1.33.13, and nothing goes back to v1.33.2"},
		{map[string]string{"api/cp-1": "v1.33.2", "node/worker-1": "v1.33.13"}, "v1.33.12", "node/worker-1: it is v1.33.13"},
		{map[string]string{"api/cp-1": "v1.34.4", "node/cp-1": "v1.34.4"}, "v1.34.4", "is that already"},
		{map[string]string{"api/cp-1": "new"}, "v1.34.4", "read the version of api/cp-1"},
	} {
		err := newer(test.now, test.to)
		if test.errors == "" {
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), test.to)
		} else {
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.errors)))
		}
	}
}
