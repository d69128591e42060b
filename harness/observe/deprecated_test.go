package observe

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/trace"
)

func TestRequestedAPIs(t *testing.T) {
	g := NewWithT(t)
	found, err := requestedAPIs([]byte(`# HELP apiserver_requested_deprecated_apis [STABLE] Gauge of deprecated APIs that have been requested
# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints",subresource="",version="v1"} 1
apiserver_requested_deprecated_apis{group="policy",removed_release="1.25",resource="poddisruptionbudgets",subresource="",version="v1beta1"} 1
apiserver_requested_deprecated_apis{group="policy",removed_release="1.25",resource="poddisruptionbudgets",subresource="status",version="v1beta1"} 1
apiserver_requested_deprecated_apis{group="batch",removed_release="1.25",resource="cronjobs",subresource="",version="v1beta1"} 0
# TYPE other counter
other{a="b"} 3
`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(ConsistOf(
		trace.DeprecatedData{Version: "v1", Resource: "endpoints"},
		trace.DeprecatedData{Group: "policy", Version: "v1beta1", Resource: "poddisruptionbudgets", RemovedRelease: "1.25"},
	))

	g.Expect(requestedAPIs([]byte("other 1\n"))).To(BeEmpty())
	_, err = requestedAPIs([]byte("<html>\n"))
	g.Expect(err).To(HaveOccurred())
}
