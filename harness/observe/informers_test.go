package observe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// api is an API server with namespaces and nothing else, that can be restored.
type api struct {
	mu       sync.Mutex
	version  int
	names    []string
	expired  bool // watches from before the restore are told so
	starting bool // nobody may watch yet, which each is told once
	refused  map[string]bool
	restored chan struct{} // closed when it is: connections end
}

// restore gives it other content at another version.
func (a *api) restore(version int, expired bool, names ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version, a.expired, a.names, a.starting = version, expired, names, true
	close(a.restored)
	a.restored = make(chan struct{})
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	version, names, expired, restored := a.version, a.names, a.expired, a.restored
	refuse := a.starting && !a.refused[r.URL.Path]
	if watch := r.URL.Query().Get("watch") != ""; watch && refuse {
		a.refused[r.URL.Path] = true
	}
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Query().Get("watch") != "" {
		if refuse {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintln(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)
			return
		}
		if expired && r.URL.Query().Get("resourceVersion") != fmt.Sprint(version) {
			fmt.Fprintln(w, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}}`)
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-restored:
		case <-r.Context().Done():
		}
		return
	}
	list := metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}}
	list.ResourceVersion = fmt.Sprint(version)
	if strings.HasSuffix(r.URL.Path, "/namespaces") {
		for _, name := range names {
			list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1"}})
		}
	}
	_ = json.NewEncoder(w).Encode(list)
}

// TestInformers: after a restore to a later version clients are told to list anew, and know what is there. After one to an earlier version nothing tells them. That the API server does not yet know who they are
// when they come again is no reason to list.
func TestInformers(t *testing.T) {
	for name, c := range map[string]struct {
		version int
		expired bool
		stale   []string
	}{
		"with a bump":    {1000, true, []string{}},
		"without a bump": {5, false, []string{"namespace/later is not there any more"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			a := &api{version: 9, names: []string{"default", "later"}, restored: make(chan struct{}), refused: map[string]bool{}}
			server := httptest.NewServer(a)
			defer server.Close()
			client, err := metadata.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
			g.Expect(err).NotTo(HaveOccurred())
			informers, err := StartInformers(t.Context(), client)
			g.Expect(err).NotTo(HaveOccurred())
			defer informers.Stop()
			known, stale, err := informers.Compare(t.Context(), time.Minute)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(known).To(Equal(2))
			g.Expect(stale).To(BeEmpty())

			a.restore(c.version, c.expired, "default")
			_, stale, err = informers.Compare(t.Context(), 5*time.Second)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(stale).To(Equal(c.stale))
		})
	}
}
