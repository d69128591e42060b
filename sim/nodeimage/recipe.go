package nodeimage

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"runtime/debug"
	"strings"

	"github.com/seatrial/seatrial/sim/balancer"
	"github.com/seatrial/seatrial/sim/gobuild"
)

// The versions of what Kubernetes itself does not bring.
const (
	cniVersion = "v1.9.1" // as kind v0.33's own images have
	// netlinkVersion is the one that podnet is compiled with here; a test holds it to go.mod.
	netlinkVersion = "v1.3.1"
	// suite is the Debian release of the base, and of this recipe's packages.
	suite = "bookworm"
	// revision and baseRevision change when the same ingredients of a node image, or of what it is made from, are put together in another way.
	revision     = 3
	baseRevision = 2
)

// packages are what kind's images/base/Dockerfile installs, without network storage, and with Debian's own containerd.
var packages = []string{
	"bash", "ca-certificates", "conntrack", "containerd", "curl", "e2fsprogs", "ebtables", "ethtool", "iproute2", "iptables", "jq", "kmod", "libseccomp2",
	"mount", "nftables", "pigz", "procps", "runc", "socat", "systemd", "systemd-sysv", "util-linux",
}

// proxyPackages are what kube-proxy runs.
var proxyPackages = []string{"conntrack", "iptables", "kmod", "nftables"}

//go:embed programs
var programs embed.FS

// source is an embedded file, by its path below programs. That it is there a test says.
func source(name string) string {
	data, err := programs.ReadFile(path.Join("programs", name))
	if err != nil {
		panic(err)
	}
	return string(data)
}

// sources are the Go files of a folder, its tests left out, by the path that they have below into. That they are there a test says.
func sources(files embed.FS, folder, into string) map[string]string {
	found := map[string]string{}
	entries, err := files.ReadDir(folder)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		text, err := files.ReadFile(path.Join(folder, e.Name()))
		if err != nil {
			panic(err)
		}
		found[path.Join(into, e.Name())] = string(text)
	}
	return found
}

// own is a program of ours, with the sources that it is built from beside its own.
func own(name string, extra map[string]string, require ...string) gobuild.Module {
	const modulePath = "github.com/seatrial/seatrial"
	dir := "sim/nodeimage/programs/" + name
	files := sources(programs, "programs/"+name, dir)
	maps.Copy(files, extra)
	return gobuild.Module{
		Name: name, Path: modulePath, Files: files, Require: require, Packages: map[string]string{name: modulePath + "/" + dir},
	}
}

// The programs of ours that images have.
var (
	workload = own("workload", nil)
	pause    = own("pause", nil)
	envoy    = own("envoy", sources(balancer.Source, ".", "sim/balancer"))
)

// podnet is built with the client-go that seatrial is linked with.
func podnet() (gobuild.Module, error) {
	require := []string{"github.com/vishvananda/netlink@" + netlinkVersion}
	for _, m := range []string{"k8s.io/api", "k8s.io/apimachinery", "k8s.io/client-go"} {
		version, err := linked(m)
		if err != nil {
			return gobuild.Module{}, err
		}
		require = append(require, m+"@"+version)
	}
	return own("podnet", nil, require...), nil
}

// linked is the version of a module that is linked into this program.
func linked(module string) (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", fmt.Errorf("find the version of %s: this program has no build information", module)
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version, nil
		}
	}
	return "", fmt.Errorf("find the version of %s: it is not linked into this program", module)
}

// Etcd is an etcd release: the server, etcdctl and etcdutl.
func Etcd(version string) gobuild.Module {
	return gobuild.Module{
		Name:    "etcd-" + version,
		Require: []string{"go.etcd.io/etcd/server/v3@" + version, "go.etcd.io/etcd/etcdctl/v3@" + version, "go.etcd.io/etcd/etcdutl/v3@" + version},
		Packages: map[string]string{
			"etcd": "go.etcd.io/etcd/server/v3", "etcdctl": "go.etcd.io/etcd/etcdctl/v3", "etcdutl": "go.etcd.io/etcd/etcdutl/v3",
		},
	}
}

func coredns(version string) gobuild.Module {
	return gobuild.Module{
		Name:     "coredns-" + version,
		Require:  []string{"github.com/coredns/coredns@" + version},
		Files:    map[string]string{"main.go": source("coredns/main.go.txt")},
		Packages: map[string]string{"coredns": "scratch"},
	}
}

var cniPlugins = gobuild.Module{
	Name:    "cni-plugins-" + cniVersion,
	Require: []string{"github.com/containernetworking/plugins@" + cniVersion},
	Packages: map[string]string{
		"host-local": "github.com/containernetworking/plugins/plugins/ipam/host-local",
		"loopback":   "github.com/containernetworking/plugins/plugins/main/loopback",
		"portmap":    "github.com/containernetworking/plugins/plugins/meta/portmap",
		"ptp":        "github.com/containernetworking/plugins/plugins/main/ptp",
	},
}

// recipe is all that a node image depends on. Two recipes with one key make the same image, up to Debian's updates.
type recipe struct {
	Revision   int               `json:"revision"`
	Kubernetes string            `json:"kubernetes"`
	Components map[string]string `json:"components"` // SHA-256 of each
	Kind       string            `json:"kind"`
	Suite      string            `json:"suite"`
	Packages   []string          `json:"packages"`
	Proxy      []string          `json:"proxyPackages"`
	Modules    map[string]string `json:"modules"` // key of each
	Images     images            `json:"images"`
	Manifest   string            `json:"manifest"`
}

// key names a recipe by its content.
func key(of any) string {
	data, err := json.Marshal(of)
	if err != nil {
		panic(err) // strings and numbers only
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:16]
}

// images are the references that kubeadm uses.
type images struct {
	Etcd    string `json:"etcd"`    // "registry.k8s.io/etcd:3.6.5-0"
	CoreDNS string `json:"coredns"` // "registry.k8s.io/coredns/coredns:v1.12.1"
	Pause   string `json:"pause"`   // "registry.k8s.io/pause:3.10.1"
}

// etcdVersion is the version in a tag of etcd's image: "3.6.5-0" is v3.6.5, put into an image for the first time.
func (i images) etcdVersion() string {
	version, _, _ := strings.Cut(tag(i.Etcd), "-")
	return "v" + version
}

func tag(ref string) string { return ref[strings.LastIndexByte(ref, ':')+1:] }

// wanted asks a release's kubeadm which images it uses (kubeadm config images list).
func (b *Builder) wanted(ctx context.Context, kubeadm, version string) (images, error) {
	lines, err := b.run(ctx, kubeadm, "config", "images", "list", "--kubernetes-version", version)
	if err != nil {
		return images{}, fmt.Errorf("ask kubeadm %s for its images: %w", version, err)
	}
	var i images
	for _, line := range lines {
		for name, ref := range map[string]*string{"/etcd:": &i.Etcd, "/coredns:": &i.CoreDNS, "/pause:": &i.Pause} {
			if strings.Contains(line, name) {
				*ref = line
			}
		}
	}
	if i.Etcd == "" || i.CoreDNS == "" || i.Pause == "" {
		return i, fmt.Errorf("ask kubeadm %s for its images: it named %q", version, lines)
	}
	return i, nil
}
