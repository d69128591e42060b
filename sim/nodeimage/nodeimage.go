// Package nodeimage makes kind node images out of a Kubernetes release, Debian packages and Go modules, for machines that can reach no container
// registry.
//
// A node image is a small Debian with systemd and containerd, kind's own files for nodes, the release's kubelet, kubeadm and kubectl, and, in
// containerd's store, the images that kubeadm runs: each is built here from a binary. Plain kind can use it too, with its default network.
//
//	b, err := nodeimage.NewBuilder(nodeimage.Options{Engine: engine, Releases: store, Tools: tools, …})
//	image, err := b.Build(ctx, "v1.34")
//	fmt.Println(image.Ref) // seatrial.dev/node:v1.34.4
//
// What an image was made from is its label [RecipeLabel]: building it again, when nothing changed, is a look-up.
package nodeimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/gobuild"
	"github.com/seatrial/seatrial/sim/lock"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/progress"
	"github.com/seatrial/seatrial/sim/release"
)

const (
	// Repository is where node images are, with the Kubernetes version as their tag.
	Repository = "seatrial.dev/node"
	// Balancer is the image of kind's load balancer container where the real one can't be had. kind looks for it under another name: see [Builder.BuildBalancer].
	Balancer = "seatrial.dev/balancer:v1"
	// Workload is the image that rehearsed pods run. It is in every node image.
	Workload = "seatrial.dev/workload:v1"
	// TagsLabel is the label that says which tags an image has in place of those that kubeadm asks for, as JSON.
	TagsLabel = "dev.seatrial.tags"
	// RecipeLabel is the label that says what an image was made from.
	RecipeLabel = "dev.seatrial.recipe"
	// base is where the images are that node images are made from.
	base = "seatrial.dev/base"
)

// Components are the components of Kubernetes that a node image has.
var Components = []string{"kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubeadm", "kubectl", "kubelet"}

// Options are what a builder needs.
type Options struct {
	Engine     *engine.Client
	Supervisor *proc.Supervisor
	Releases   *release.Store
	Tools      *gobuild.Store
	Progress   *progress.Progress
	// Registry is the repository of kind's own node images, [Upstream] or a mirror of it. Empty means that nothing is pulled.
	Registry string
	// Dir is for locks. Empty means seatrial/nodeimage in the user's cache folder.
	Dir string
}

// Builder makes images. Its methods may be called from several goroutines and processes.
type Builder struct {
	Options
	look func(ctx context.Context, engine string) engine.Facts
}

// NewBuilder returns a builder.
func NewBuilder(o Options) (*Builder, error) {
	if o.Dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the folder of the image builder: %w", err)
		}
		o.Dir = filepath.Join(cache, "seatrial", "nodeimage")
	}
	return &Builder{Options: o, look: engine.Look}, nil
}

// Image is a node image.
type Image struct {
	// Ref is what the engine calls it: "seatrial.dev/node:v1.34.4".
	Ref string `json:"ref"`
	// Version is the Kubernetes version, exact.
	Version string `json:"version"`
	// Size is in bytes.
	Size int64 `json:"size,omitempty"`
	// Tags are what kubeadm must be told.
	Tags Tags `json:"tags,omitzero"`
}

// Tags are those of images that are not what a kubeadm asks for, because the module proxy does not serve that version; "" when they are.
type Tags struct {
	Etcd    string `json:"etcd,omitempty"`    // "3.5.31-0"
	CoreDNS string `json:"coredns,omitempty"` // "v1.12.1"
}

// Build is the node image of a Kubernetes version, a minor or exact, which is made when the engine has none or one of other ingredients. Interrupted, it
// leaves nothing that could be taken for an image.
func (b *Builder) Build(ctx context.Context, version string) (Image, error) {
	image, err := b.build(ctx, version)
	if err != nil {
		return Image{}, fmt.Errorf("build node image of %s: %w", version, err)
	}
	return image, nil
}

func (b *Builder) build(ctx context.Context, version string) (Image, error) {
	i, err := b.gather(ctx, version)
	if err != nil {
		return Image{}, err
	}
	return b.ensure(ctx, i)
}

// ensure is the node image of these ingredients.
func (b *Builder) ensure(ctx context.Context, i *ingredients) (Image, error) {
	image := Image{Ref: Repository + ":" + i.release.Version, Version: i.release.Version, Tags: i.tags}
	err := b.once(ctx, image.Ref, key(i.recipe), func() error { return b.assemble(ctx, i, image.Ref) })
	return image, err
}

// once makes an image unless the engine has it, made from the same recipe. Two processes at once make it once.
func (b *Builder) once(ctx context.Context, ref, recipe string, make func() error) error {
	if made, err := b.Engine.ImageLabel(ctx, ref, RecipeLabel); err != nil || made == recipe {
		return err
	}
	unlock, err := lock.Take(ctx, filepath.Join(b.Dir, strings.NewReplacer("/", "_", ":", "_").Replace(ref)+".lock"), ref, b.Progress)
	if err != nil {
		return err
	}
	defer unlock()
	if made, err := b.Engine.ImageLabel(ctx, ref, RecipeLabel); err != nil || made == recipe {
		return err
	}
	if err := b.checkSpace(ctx); err != nil {
		return err
	}
	return make()
}

// neededSpace is what an image and what it is made from take in the engine's storage, in bytes, rounded up.
const neededSpace = 6 << 30

func (b *Builder) checkSpace(ctx context.Context) error {
	facts := b.look(ctx, b.Engine.Name)
	if facts.StorageFree < neededSpace && facts.Storage != "" {
		return fmt.Errorf("not enough space for an image at %s: %.1f GiB are free, %d GiB are needed", facts.Storage, float64(facts.StorageFree)/(1<<30), neededSpace>>30)
	}
	return nil
}

// ingredients are what a node image is made from.
type ingredients struct {
	recipe  recipe
	release release.Release
	tags    Tags
	// tools are the folders of the built programs, by module name.
	etcd, coredns, cni, podnet, workload, pause string
}

// gather gets everything, side by side where that is other work than the go command's.
func (b *Builder) gather(ctx context.Context, version string) (*ingredients, error) {
	var i ingredients
	var err error
	if i.release, err = b.Releases.Get(ctx, version, Components); err != nil {
		return nil, err
	}
	wanted, err := b.wanted(ctx, i.release.Components["kubeadm"].Path, i.release.Version)
	if err != nil {
		return nil, err
	}
	if err := b.serve(ctx, &i, &wanted); err != nil {
		return nil, err
	}
	podnetModule, err := podnet()
	if err != nil {
		return nil, err
	}
	kindVersion, err := linked("sigs.k8s.io/kind")
	if err != nil {
		return nil, err
	}
	i.recipe = recipe{
		Revision: revision, Kubernetes: i.release.Version, Components: map[string]string{}, Kind: kindVersion, Suite: suite, Packages: packages,
		Proxy: proxyPackages, Modules: map[string]string{}, Images: wanted, Manifest: source("podnet/manifest.yaml"),
	}
	for name, file := range i.release.Components {
		i.recipe.Components[name] = file.SHA256
	}
	for _, need := range []struct {
		module gobuild.Module
		dir    *string
	}{
		{Etcd(wanted.etcdVersion()), &i.etcd}, {coredns(tag(wanted.CoreDNS)), &i.coredns}, {cniPlugins, &i.cni},
		{podnetModule, &i.podnet}, {workload, &i.workload}, {pause, &i.pause},
	} {
		i.recipe.Modules[need.module.Name] = need.module.Key()
		if *need.dir, err = b.Tools.Get(ctx, need.module); err != nil {
			return nil, err
		}
	}
	return &i, nil
}

// serve builds etcd and CoreDNS. One that the module proxy does not serve in the version that kubeadm asks for is replaced by the next newer patch that it serves, and the
// image is called what it is.
func (b *Builder) serve(ctx context.Context, i *ingredients, wanted *images) error {
	for _, need := range []struct {
		module, version string
		make            func(version string) gobuild.Module
		ref             *string
		tag             func(version string) string
		other           *string
	}{
		{"go.etcd.io/etcd/server/v3", wanted.etcdVersion(), Etcd, &wanted.Etcd, func(v string) string { return strings.TrimPrefix(v, "v") + "-0" }, &i.tags.Etcd},
		{"github.com/coredns/coredns", tag(wanted.CoreDNS), coredns, &wanted.CoreDNS, func(v string) string { return v }, &i.tags.CoreDNS},
	} {
		served, err := b.served(ctx, need.module, need.version, need.make)
		if err != nil {
			return err
		}
		if served != need.version {
			*need.other = need.tag(served)
			*need.ref = strings.TrimSuffix(*need.ref, tag(*need.ref)) + *need.other
			b.Progress.Say("%s %s can't be had: %s in its place", need.module, need.version, served)
		}
	}
	return nil
}

// served is the version, or the next newer patch, that can be built: a release's other modules need not be served where its main one is.
func (b *Builder) served(ctx context.Context, module, version string, make func(version string) gobuild.Module) (string, error) {
	_, err := b.Tools.Get(ctx, make(version))
	if err == nil {
		return version, nil
	}
	newer, listErr := b.Tools.Newer(ctx, module, version)
	errs := []error{err, listErr}
	for _, v := range newer {
		if _, err := b.Tools.Get(ctx, make(v)); err == nil {
			return v, nil
		} else if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return "", errors.Join(errs...)
}

// BuildBalancer makes the image for kind's load balancer container, under the name that kind looks for, unless the engine has one of that name.
func (b *Builder) BuildBalancer(ctx context.Context, kindsName string) error {
	if has, err := b.Engine.HasImage(ctx, kindsName); err != nil {
		return err
	} else if has {
		made, err := b.Engine.ImageLabel(ctx, kindsName, RecipeLabel)
		if err != nil || made == "" {
			return err // the real one
		}
	}
	recipe := key([]any{baseRevision, suite, packages, envoy.Key()})
	err := b.once(ctx, kindsName, recipe, func() error { return b.assembleBalancer(ctx, kindsName, recipe) })
	if err != nil {
		return fmt.Errorf("build balancer image: %w", err)
	}
	return nil
}

// List is the node images that the engine has, ordered by version.
func (b *Builder) List(ctx context.Context) ([]Image, error) {
	lines, err := b.Engine.Lines(ctx, "image", "ls", "--filter", "reference="+Repository, "--format", "{{.Repository}}:{{.Tag}}")
	if err != nil {
		return nil, fmt.Errorf("list node images: %w", err)
	}
	var images []Image
	for _, ref := range lines {
		if !strings.HasPrefix(ref, Repository+":") {
			continue
		}
		out, err := b.Engine.Output(ctx, "image", "inspect", "--format", "{{.Size}}", ref)
		if err != nil {
			return nil, fmt.Errorf("list node images: %w", err)
		}
		image := Image{Ref: ref, Version: tag(ref)}
		if err := json.Unmarshal([]byte(out), &image.Size); err != nil {
			return nil, fmt.Errorf("list node images: size of %s: %w", ref, err)
		}
		if image.Tags, err = b.tags(ctx, ref); err != nil {
			return nil, fmt.Errorf("list node images: %w", err)
		}
		images = append(images, image)
	}
	slices.SortFunc(images, func(a, b Image) int { return strings.Compare(a.Version, b.Version) })
	return images, nil
}

// tags are the tags that an image has in place of those that kubeadm asks for.
func (b *Builder) tags(ctx context.Context, ref string) (t Tags, err error) {
	label, err := b.Engine.ImageLabel(ctx, ref, TagsLabel)
	if err != nil || label == "" {
		return t, err
	}
	if err := json.Unmarshal([]byte(label), &t); err != nil {
		return t, fmt.Errorf("label %s of %s: %w", TagsLabel, ref, err)
	}
	return t, nil
}

// run runs a program and returns the lines of its stdout.
func (b *Builder) run(ctx context.Context, path string, args ...string) ([]string, error) {
	var out strings.Builder
	err := b.Supervisor.Run(ctx, proc.Command{Name: filepath.Base(path), Path: path, Args: args, Stdout: &out}, stopGrace)
	return strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' }), err
}

// both does two things side by side.
func both(ctx context.Context, first, second func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return first(ctx) })
	group.Go(func() error { return second(ctx) })
	return group.Wait()
}
