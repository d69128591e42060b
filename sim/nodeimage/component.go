package nodeimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// component is an image that containerd runs on nodes: some executables, and what they need.
type component struct {
	ref string
	// files are executables on this machine by their paths in the image.
	files map[string]string
	// rootfs is a tar file below them, or "".
	rootfs string
	// entrypoint is what runs. kubeadm's manifests say it themselves, by name.
	entrypoint []string
}

// components are the images of a node, as kubeadm and our manifests call them.
func (i *ingredients) components(proxyRootfs string) []component {
	kubernetes := func(name, rootfs string) component {
		return component{
			ref: "registry.k8s.io/" + name + ":" + i.release.Version, rootfs: rootfs,
			files: map[string]string{"usr/local/bin/" + name: i.release.Components[name].Path}, entrypoint: []string{"/usr/local/bin/" + name},
		}
	}
	single := func(ref, dir, executable, at string) component {
		return component{ref: ref, files: map[string]string{at: filepath.Join(dir, executable)}, entrypoint: []string{"/" + at}}
	}
	etcd := component{ref: i.recipe.Images.Etcd, files: map[string]string{}, entrypoint: []string{"/usr/local/bin/etcd"}}
	for _, executable := range []string{"etcd", "etcdctl", "etcdutl"} {
		etcd.files["usr/local/bin/"+executable] = filepath.Join(i.etcd, executable)
	}
	return []component{
		kubernetes("kube-apiserver", ""), kubernetes("kube-controller-manager", ""), kubernetes("kube-scheduler", ""), kubernetes("kube-proxy", proxyRootfs),
		etcd,
		single(i.recipe.Images.CoreDNS, i.coredns, "coredns", "coredns"),
		single(i.recipe.Images.Pause, i.pause, "pause", "pause"),
		single("seatrial.dev/podnet:v1", i.podnet, "podnet", "podnet"),
		single(Workload, i.workload, "workload", "workload"),
	}
}

// WriteImage writes an image of one executable of this machine, at a path in it, as an archive that `ctr images import` and `docker load` read.
func WriteImage(out io.Writer, ref, executable, at string) error {
	return component{ref: ref, files: map[string]string{at: executable}, entrypoint: []string{"/" + at}}.write(out)
}

// write writes the image as an archive that `ctr images import` and `docker load` read.
func (c component) write(out io.Writer) error {
	ref, err := name.NewTag(c.ref)
	if err != nil {
		return err
	}
	var layers []v1.Layer
	if c.rootfs != "" {
		layer, err := tarball.LayerFromFile(c.rootfs, tarball.WithCompressionLevel(gzip.BestSpeed))
		if err != nil {
			return err
		}
		layers = append(layers, layer)
	}
	layer, err := tarball.LayerFromOpener(c.open, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, append(layers, layer)...)
	if err != nil {
		return err
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, RootFS: mustConfig(image).RootFS,
		Config: v1.Config{
			Entrypoint: c.entrypoint, WorkingDir: "/",
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
	})
	if err != nil {
		return err
	}
	return tarball.Write(ref, image, out)
}

// mustConfig is the configuration of an image that is in memory.
func mustConfig(image v1.Image) *v1.ConfigFile {
	config, err := image.ConfigFile()
	if err != nil {
		panic(err)
	}
	return config
}

// open is the layer of the executables.
func (c component) open() (io.ReadCloser, error) {
	read, write := io.Pipe()
	go func() { write.CloseWithError(c.tar(write)) }()
	return read, nil
}

func (c component) tar(out io.Writer) error {
	writer := tar.NewWriter(out)
	for _, at := range sortedKeys(c.files) {
		if err := addExecutable(writer, at, c.files[at]); err != nil {
			return err
		}
	}
	return writer.Close()
}

func addExecutable(out *tar.Writer, at, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: at, Mode: 0o755, Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(out, file)
	return err
}

// iptablesLinks are what update-alternatives makes of Debian's iptables where its scripts run.
var iptablesLinks = []string{
	"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore",
}

// proxyRootfs makes the file system below kube-proxy: the programs that it runs, and their libraries.
func (b *Builder) proxyRootfs(ctx context.Context, dir string) (string, error) {
	raw, out := filepath.Join(dir, "proxy-raw.tar"), filepath.Join(dir, "proxy.tar")
	if err := b.bootstrap(ctx, "extract", proxyPackages, raw); err != nil {
		return "", err
	}
	in, err := os.Open(raw)
	if err != nil {
		return "", err
	}
	defer in.Close()
	var edited bytes.Buffer
	err = edit{drop: bulk, add: func(out *tar.Writer) error {
		for _, link := range iptablesLinks {
			if err := addLink(out, "usr/sbin/"+link, "xtables-nft-multi"); err != nil {
				return err
			}
		}
		return nil
	}}.apply(in, &edited)
	if err != nil {
		return "", fmt.Errorf("edit kube-proxy's file system: %w", err)
	}
	return out, os.WriteFile(out, edited.Bytes(), 0o600)
}
