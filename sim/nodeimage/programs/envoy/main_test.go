package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	. "github.com/onsi/gomega"
)

// data is what kind fills its templates with (ConfigData in pkg/cluster/internal/loadbalancer).
type data struct {
	ControlPlanePort int
	BackendServers   map[string]string
	IPv6             bool
}

// written is what the version of kind that seatrial is linked with writes: the template is taken out of its source.
func written(t *testing.T, name string, d data) string {
	t.Helper()
	g := NewWithT(t)
	module, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind").Output()
	g.Expect(err).NotTo(HaveOccurred())
	source := filepath.Join(strings.TrimSpace(string(module)), "pkg", "cluster", "internal", "loadbalancer", "config.go")
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.SkipObjectResolution)
	g.Expect(err).NotTo(HaveOccurred())
	text := ""
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == name {
			text, err = strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		}
		return true
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(text).NotTo(BeEmpty(), "%s has no %s", source, name)
	parsed, err := template.New(name).Funcs(template.FuncMap{"hostPort": func(address string) (map[string]string, error) {
		host, port, err := net.SplitHostPort(address)
		return map[string]string{"host": host, "port": port}, err
	}}).Parse(text)
	g.Expect(err).NotTo(HaveOccurred())
	var out bytes.Buffer
	g.Expect(parsed.Execute(&out, d)).To(Succeed())
	return out.String()
}

const (
	listenersTemplate = "ProxyLDSConfigTemplate"
	serversTemplate   = "ProxyCDSConfigTemplate"
)

func TestAddressesOfKind(t *testing.T) {
	three := map[string]string{"c-control-plane3": "c-control-plane3:6443", "c-control-plane": "c-control-plane:6443", "c-control-plane2": "c-control-plane2:6443"}
	names := []string{"c-control-plane2:6443", "c-control-plane3:6443", "c-control-plane:6443"}
	for _, test := range []struct {
		name, template string
		data           data
		want           []string
	}{
		{"listener", listenersTemplate, data{ControlPlanePort: 6443}, []string{"0.0.0.0:6443"}},
		{"listener, IPv6", listenersTemplate, data{ControlPlanePort: 6443, IPv6: true}, []string{"[::]:6443"}},
		{"servers", serversTemplate, data{BackendServers: three}, names},
		{"servers, IPv6", serversTemplate, data{BackendServers: three, IPv6: true}, names},
		{"no servers", serversTemplate, data{}, nil},
		{"servers by address", serversTemplate, data{BackendServers: map[string]string{"a": "172.18.0.3:6443", "b": "[fc00:f853:ccd:e793::3]:6443"}},
			[]string{"172.18.0.3:6443", "[fc00:f853:ccd:e793::3]:6443"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := NewWithT(t)
			path := filepath.Join(t.TempDir(), "xds.yaml")
			g.Expect(os.WriteFile(path, []byte(written(t, test.template, test.data)), 0o644)).To(Succeed())
			got, err := addresses(path)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got).To(Equal(test.want))
		})
	}
}

func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"kind's beginning", "resources: []", nil},
		{"nothing", "", nil},
		{"a port without an address", "port_value: 6443\n", nil},
		{"an address without a port", "address: 10.0.0.1\n", nil},
		{"an address is used once", "address: 10.0.0.1\nport_value: 1\nport_value: 2\n", []string{"10.0.0.1:1"}},
		{"the word address alone", "  address:\n    socket_address:\n      address: 10.0.0.1\n      port_value: 6443\n", []string{"10.0.0.1:6443"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := NewWithT(t)
			path := filepath.Join(t.TempDir(), "xds.yaml")
			g.Expect(os.WriteFile(path, []byte(test.text), 0o644)).To(Succeed())
			got, err := addresses(path)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got).To(Equal(test.want))
		})
	}
	_, err := addresses(filepath.Join(t.TempDir(), "none.yaml"))
	NewWithT(t).Expect(err).To(MatchError(os.ErrNotExist))
}

// server is an API server whose /healthz has the status; anything else it answers with its name.
func server(t *testing.T, name string, status int) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			w.WriteHeader(status)
			return
		}
		_, _ = io.WriteString(w, name)
	}))
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// TestRun starts where kind does, with empty files, and follows them.
func TestRun(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	write := func(name, text string) { // as kind does: a new file takes the place of the old one
		path := filepath.Join(dir, name)
		g.Expect(os.WriteFile(path+".tmp", []byte(text), 0o644)).To(Succeed())
		g.Expect(os.Rename(path+".tmp", path)).To(Succeed())
	}
	one, two, bad := server(t, "one", http.StatusOK), server(t, "two", http.StatusOK), server(t, "bad", http.StatusInternalServerError)
	write("lds.yaml", "resources: []")
	write("cds.yaml", "resources: []")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, dir) }()

	address := free(t)
	_, port, err := net.SplitHostPort(address)
	g.Expect(err).NotTo(HaveOccurred())
	number, err := strconv.Atoi(port)
	g.Expect(err).NotTo(HaveOccurred())
	write("cds.yaml", written(t, serversTemplate, data{BackendServers: map[string]string{"1": one, "2": bad}}))
	write("lds.yaml", written(t, listenersTemplate, data{ControlPlanePort: number}))
	// get is who answers on a connection of its own.
	get := func() (string, error) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
		answer, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(fmt.Sprintf("https://%s/", address))
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return string(text), err
	}
	g.Eventually(func(g Gomega) {
		for range 4 {
			g.Expect(get()).To(Equal("one"), "a server that is not healthy has its turn")
		}
	}, "20s", "20ms").Should(Succeed())
	write("cds.yaml", written(t, serversTemplate, data{BackendServers: map[string]string{"1": two, "2": bad}}))
	g.Eventually(get, "20s", "20ms").Should(Equal("two"))

	cancel()
	g.Eventually(ended, "20s").Should(Receive(BeNil()))
	_, err = get()
	g.Expect(err).To(MatchError(ContainSubstring("connection refused")))
}

func TestRunWithoutFiles(t *testing.T) {
	NewWithT(t).Expect(run(t.Context(), t.TempDir())).To(MatchError(os.ErrNotExist))
}
