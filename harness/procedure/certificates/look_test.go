package certificates

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/trace"
)

// looked is a cluster of one control plane, which is looked at: its API is a server of the test, and each of its methods may fail.
type looked struct {
	cluster.Cluster
	cluster.CertOperator
	api    *httptest.Server
	files  map[string][]byte
	fails  string // which method
	served error
}

func (l *looked) trouble(method string) error {
	if l.fails == method {
		return errors.New(method + " failed")
	}
	return nil
}

func (l *looked) Nodes() []cluster.Node {
	return []cluster.Node{{Name: "cp-1", Role: cluster.ControlPlane}}
}

func (l *looked) RESTConfig() *rest.Config {
	return &rest.Config{Host: l.api.URL, TLSClientConfig: rest.TLSClientConfig{CAData: inPEM(l.api.Certificate())}}
}

func (l *looked) APIServers() []cluster.APIServer {
	return []cluster.APIServer{{Node: "cp-1", Config: l.RESTConfig()}}
}

func (l *looked) CertificateFiles(context.Context, string) ([]cluster.CertificateFile, error) {
	var files []cluster.CertificateFile
	for path, content := range l.files {
		files = append(files, cluster.CertificateFile{Path: path, Mode: 0o600, Content: content})
	}
	return files, l.trouble("CertificateFiles")
}

func (l *looked) ServedCertificates(context.Context, string) ([]cluster.ServedCertificate, error) {
	return []cluster.ServedCertificate{{Component: "kube-apiserver", Chain: [][]byte{l.api.Certificate().Raw}, Err: l.served}}, l.trouble("ServedCertificates")
}

func (l *looked) CheckExpiration(context.Context, string) (map[string]time.Time, error) {
	return nil, l.trouble("CheckExpiration")
}

func (l *looked) Started(context.Context, string) (map[string]time.Time, time.Duration, error) {
	return map[string]time.Time{"kube-controller-manager": time.Now(), "kube-scheduler": time.Now()}, time.Second, l.trouble("Started")
}

func inPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// newLooked makes one whose API answers requests with a status. Its administrator's kubeconfig has a certificate in it, and another one names a file with it.
func newLooked(t *testing.T, status int) *looked {
	t.Helper()
	g := NewWithT(t)
	l := &looked{api: httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		kind := `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}`
		if status >= http.StatusBadRequest {
			kind = fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, metav1.StatusReasonUnauthorized, status)
		}
		_, _ = io.WriteString(w, kind)
	}))}
	t.Cleanup(l.api.Close)
	certificate := inPEM(l.api.Certificate())
	key, err := keyutil.MarshalPrivateKeyToPEM(l.api.TLS.Certificates[0].PrivateKey)
	g.Expect(err).NotTo(HaveOccurred())
	conf := func(user clientcmdapi.AuthInfo) []byte {
		config := clientcmdapi.NewConfig()
		config.Clusters["k"] = &clientcmdapi.Cluster{Server: l.api.URL, CertificateAuthorityData: certificate}
		config.AuthInfos["u"], config.Contexts["c"], config.CurrentContext = &user, &clientcmdapi.Context{Cluster: "k", AuthInfo: "u"}, "c"
		text, err := clientcmd.Write(*config)
		g.Expect(err).NotTo(HaveOccurred())
		return text
	}
	const beside = "/etc/kubernetes/pki/mine"
	l.files = map[string][]byte{
		"/etc/kubernetes/admin.conf": conf(clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}),
		"/etc/kubernetes/mine.conf":  conf(clientcmdapi.AuthInfo{ClientCertificate: beside + ".crt", ClientKey: beside + ".key"}),
		beside + ".crt":              certificate, beside + ".key": key,
		"/var/lib/kubelet/pki/kubelet-client-current.pem": append(append([]byte{}, certificate...), key...),
	}
	return l
}

// take looks at it, with a Lease whose time is ahead, and says what was recorded.
func (l *looked) take(t *testing.T, ahead time.Duration, refuses string) (trace.InventoryData, map[string]trace.CertificateData) {
	t.Helper()
	g := NewWithT(t)
	renewed := metav1.NewMicroTime(time.Now().Add(ahead))
	kube := fake.NewClientset(
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "cp-1"}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "kubernetes"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1"}},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: "cp-1"}, Spec: coordinationv1.LeaseSpec{RenewTime: &renewed}},
	)
	if refuses != "" {
		kube.PrependReactor("*", refuses, func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New(refuses + " are not to be had")
		})
	}
	var inventory trace.InventoryData
	found := map[string]trace.CertificateData{}
	env := &procedure.Env{Cluster: l, Kube: kube, Log: io.Discard, Record: func(_ trace.Kind, _, _ string, data any) error {
		switch d := data.(type) {
		case trace.InventoryData:
			inventory = d
		case trace.CertificateData:
			found[d.ID()] = d
		}
		return nil
	}}
	g.Expect(Look(t.Context(), env, "check")).To(Succeed())
	return inventory, found
}

const (
	adminsCertificate = "certificate/cp-1/etc/kubernetes/admin.conf"
	filesCertificate  = "certificate/cp-1/etc/kubernetes/pki/mine.crt"
)

// TestLook: the API is asked with every kubeconfig, also with one that names a file, and nothing is left unread.
func TestLook(t *testing.T) {
	g := NewWithT(t)
	inventory, found := newLooked(t, http.StatusCreated).take(t, 0, "")
	g.Expect(inventory.Unreadable).To(BeEmpty())
	for _, id := range []string{adminsCertificate, filesCertificate} {
		g.Expect(found).To(HaveKey(id))
		g.Expect([]any{found[id].Asked, found[id].Refusal}).To(Equal([]any{true, ""}), id)
	}
	_, found = newLooked(t, http.StatusUnauthorized).take(t, 0, "")
	for _, id := range []string{adminsCertificate, filesCertificate} {
		g.Expect(found[id].Asked).To(BeTrue())
		g.Expect(found[id].Refusal).NotTo(BeEmpty(), id)
	}
}

// TestLookClock: what a kubelet's Lease says of its clock is among what is said of its certificate.
func TestLookClock(t *testing.T) {
	_, found := newLooked(t, http.StatusCreated).take(t, 5*time.Minute, "")
	NewWithT(t).Expect(found["certificate/cp-1/var/lib/kubelet/pki/kubelet-client-current.pem"].ClockSeconds).To(BeNumerically("~", 300, 5))
}

// TestLookUnreadable: whatever can't be looked at is said, so that no policy is content.
func TestLookUnreadable(t *testing.T) {
	for want, spoil := range map[string]func(l *looked) (refuses string){
		"the files of cp-1: CertificateFiles failed":                                  func(l *looked) string { l.fails = "CertificateFiles"; return "" },
		"what cp-1 serves: ServedCertificates failed":                                 func(l *looked) string { l.fails = "ServedCertificates"; return "" },
		"what the kube-apiserver of cp-1 serves: refused":                             func(l *looked) string { l.served = errors.New("refused"); return "" },
		"what kubeadm certs check-expiration says on cp-1: CheckExpiration failed":    func(l *looked) string { l.fails = "CheckExpiration"; return "" },
		"since when components of cp-1 run: Started failed":                           func(l *looked) string { l.fails = "Started"; return "" },
		"the clocks of kubelets: leases are not to be had":                            func(*looked) string { return "leases" },
		"the names that clients know the servers by: nodes are not to be had":         func(*looked) string { return "nodes" },
		"the names that clients know the servers by: services are not to be had":      func(*looked) string { return "services" },
		"the requests for certificates: certificatesigningrequests are not to be had": func(*looked) string { return "certificatesigningrequests" },
		"the clock of cp-1: ": func(l *looked) string { l.api.CloseClientConnections(); l.api.Listener.Close(); return "" },
		"whether the API takes /etc/kubernetes/mine.conf of cp-1: ":                     func(l *looked) string { l.api.Listener.Close(); return "" },
		"the client certificate that /etc/kubernetes/mine.conf of cp-1 names: /etc/kub": func(l *looked) string { delete(l.files, "/etc/kubernetes/pki/mine.crt"); return "" },
	} {
		t.Run(want, func(t *testing.T) {
			l := newLooked(t, http.StatusCreated)
			refuses := spoil(l)
			inventory, _ := l.take(t, 0, refuses)
			NewWithT(t).Expect(inventory.Unreadable).To(ContainElement(HavePrefix(want)))
		})
	}
}
