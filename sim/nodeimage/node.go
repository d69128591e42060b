package nodeimage

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seatrial/seatrial/sim/engine"
)

const (
	// assembleTimeout bounds the making of an image from its ingredients: about a minute on two cores.
	assembleTimeout = 20 * time.Minute
	// containerdTimeout is how long containerd may take to start in the build container.
	containerdTimeout = 30 * time.Second
	// removeTimeout bounds the removal of the build container.
	removeTimeout = 20 * time.Second
)

// settings are what every image of a node says of itself, as kind's Dockerfile does.
var settings = []string{
	"ENV container=docker", "STOPSIGNAL SIGRTMIN+3", `ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]`,
}

// loadRootfs gives the engine an image with one layer: a file system, edited on its way.
func (b *Builder) loadRootfs(ctx context.Context, ref, rootfs, recipe string, e edit) error {
	in, err := os.Open(rootfs)
	if err != nil {
		return err
	}
	defer in.Close()
	read, write := io.Pipe()
	go func() { write.CloseWithError(e.apply(in, write)) }()
	defer read.Close()
	args := []string{"import", "--change", "LABEL " + RecipeLabel + "=" + recipe}
	for _, s := range settings {
		args = append(args, "--change", s)
	}
	b.Progress.Say("loading %s", ref)
	return b.Engine.Do(ctx, engine.Command{Args: append(args, "-", ref), Stdin: read})
}

// assemble makes a node image: in a container of the base image, containerd imports the components' images; then the container is committed.
func (b *Builder) assemble(ctx context.Context, i *ingredients, ref string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, assembleTimeout, fmt.Errorf("%s is not made within %s", ref, assembleTimeout))
	defer cancel()
	kind, err := b.kindModule(ctx, i.recipe.Kind)
	if err != nil {
		return err
	}
	return b.temporary(func(dir string) error {
		var from, proxy string
		err := both(ctx,
			func(ctx context.Context) (err error) { from, err = b.ensureBase(ctx, kind); return err },
			func(ctx context.Context) (err error) { proxy, err = b.proxyRootfs(ctx, dir); return err })
		if err != nil {
			return err
		}
		return b.inContainer(ctx, from, func(c *buildContainer) error {
			b.Progress.Say("putting %s together", ref)
			if err := c.fill(ctx, i, kind); err != nil {
				return err
			}
			if err := c.importImages(ctx, i.components(proxy)); err != nil {
				return err
			}
			return c.commit(ctx, ref, key(i.recipe), i.tags)
		})
	})
}

// assembleBalancer makes the balancer image from the base.
func (b *Builder) assembleBalancer(ctx context.Context, ref, recipe string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, assembleTimeout, fmt.Errorf("%s is not made within %s", ref, assembleTimeout))
	defer cancel()
	program, err := b.Tools.Get(ctx, envoy)
	if err != nil {
		return err
	}
	version, err := linked("sigs.k8s.io/kind")
	if err != nil {
		return err
	}
	kind, err := b.kindModule(ctx, version)
	if err != nil {
		return err
	}
	from, err := b.ensureBase(ctx, kind)
	if err != nil {
		return err
	}
	return b.inContainer(ctx, from, func(c *buildContainer) error {
		if err := c.copyIn(ctx, func(out *tar.Writer) error {
			return addExecutable(out, "usr/local/bin/envoy", filepath.Join(program, "envoy"))
		}); err != nil {
			return err
		}
		return c.commit(ctx, ref, recipe, Tags{}, "ENTRYPOINT []", "STOPSIGNAL SIGTERM")
	})
}

// buildContainer is a container that becomes an image.
type buildContainer struct {
	b  *Builder
	id string
}

// BuildLabel marks build containers, so that what a killed build left can be found.
const BuildLabel = "dev.seatrial.build"

// inContainer runs do with a container that sleeps, and removes it afterwards.
func (b *Builder) inContainer(ctx context.Context, from string, do func(*buildContainer) error) (err error) {
	id, err := b.Engine.Output(ctx, "run", "--detach", "--privileged", "--label", BuildLabel+"="+fmt.Sprint(os.Getpid()), "--network", "none",
		"--entrypoint", "sleep", from, "infinity")
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
		defer cancel()
		err = errors.Join(err, b.Engine.Remove(ctx, id))
	}()
	return do(&buildContainer{b, id})
}

// exec runs a command in the container.
func (c *buildContainer) exec(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	var out bytes.Buffer
	args := []string{"exec"}
	if stdin != nil {
		args = append(args, "--interactive")
	}
	err := c.b.Engine.Do(ctx, engine.Command{Args: append(append(args, c.id), argv...), Stdin: stdin, Stdout: &out})
	return out.String(), err
}

// copyIn adds files at the container's root.
func (c *buildContainer) copyIn(ctx context.Context, write func(*tar.Writer) error) error {
	return c.stream(ctx, func(out io.Writer) error {
		writer := tar.NewWriter(out)
		return errors.Join(write(writer), writer.Close())
	}, "tar", "--extract", "--file=-", "--directory=/", "--no-same-owner")
}

// stream runs a command in the container that reads what write writes.
func (c *buildContainer) stream(ctx context.Context, write func(io.Writer) error, argv ...string) error {
	read, pipe := io.Pipe()
	go func() { pipe.CloseWithError(write(pipe)) }()
	defer read.Close()
	_, err := c.exec(ctx, read, argv...)
	return err
}

// fill puts the node's own files into the container.
func (c *buildContainer) fill(ctx context.Context, i *ingredients, kind string) error {
	spec, err := c.exec(ctx, nil, "ctr", "oci", "spec")
	if err != nil {
		return err
	}
	base, err := criBase([]byte(spec))
	if err != nil {
		return err
	}
	config, err := os.ReadFile(filepath.Join(kind, "images", "base", "files", "etc", "containerd", "config.toml"))
	if err != nil {
		return err
	}
	return c.copyIn(ctx, func(out *tar.Writer) error {
		errs := []error{
			addFile(out, "kind/version", 0o644, i.release.Version),
			addFile(out, "kind/manifests/default-cni.yaml", 0o644, source("podnet/manifest.yaml")),
			addFile(out, "etc/containerd/cri-base.json", 0o644, base),
			addFile(out, "etc/containerd/config.toml", 0o644, containerdConfig(string(config), i.recipe.Images.Pause)),
			addExecutable(out, "usr/local/bin/seatrial-workload", filepath.Join(i.workload, "workload")),
		}
		for _, name := range []string{"kubeadm", "kubectl", "kubelet"} {
			errs = append(errs, addExecutable(out, "usr/bin/"+name, i.release.Components[name].Path))
		}
		for _, name := range []string{"etcdctl", "etcdutl"} {
			errs = append(errs, addExecutable(out, "usr/local/bin/"+name, filepath.Join(i.etcd, name)))
		}
		for _, name := range sortedKeys(cniPlugins.Packages) {
			errs = append(errs, addExecutable(out, "opt/cni/bin/"+name, filepath.Join(i.cni, name)))
		}
		return errors.Join(errs...)
	})
}

// criBase is the specification that containers start from, made of containerd's own as kind's Dockerfile makes it: a hook hides the machine's
// product name, and limits are those of containerd.
func criBase(spec []byte) (string, error) {
	var base map[string]any
	if err := json.Unmarshal(spec, &base); err != nil {
		return "", fmt.Errorf("read the output of ctr oci spec: %w", err)
	}
	process, ok := base["process"].(map[string]any)
	if !ok {
		return "", errors.New("read the output of ctr oci spec: it has no process")
	}
	delete(process, "rlimits")
	base["hooks"] = map[string]any{"createContainer": []any{map[string]any{"path": "/kind/bin/mount-product-files.sh"}}}
	out, err := json.MarshalIndent(base, "", "  ")
	return string(out), err
}

// containerdConfig is kind's configuration with the pause image that kubeadm uses, and for machines without CAP_SYS_RESOURCE: there no process may make
// itself less likely to be killed than its parent.
func containerdConfig(kinds, pause string) string {
	lines := strings.Split(kinds, "\n")
	for n, line := range lines {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "sandbox_image ="):
			lines[n] = fmt.Sprintf("  sandbox_image = %q", pause)
		case strings.HasPrefix(trimmed, "restrict_oom_score_adj ="):
			lines[n] = "  restrict_oom_score_adj = true"
		}
	}
	return strings.Join(lines, "\n")
}

// contentDir is where containerd keeps the layers of images as they came, in place of contentLink, where it looks for them. kind gives each node a volume at /var, into which the
// engine copies what the image has there: half a gigabyte a node, which it also has to remove again. Outside, all nodes share the image's.
const (
	contentDir  = "/opt/containerd-content"
	contentLink = "/var/lib/containerd/io.containerd.content.v1.content"
)

// moveContent makes the link, unless the image has it from the one that it was made from.
func (c *buildContainer) moveContent(ctx context.Context) error {
	if _, err := c.exec(ctx, nil, "test", "-L", contentLink); err == nil {
		return nil
	}
	for _, argv := range [][]string{{"mkdir", "-p", contentDir, path.Dir(contentLink)}, {"ln", "-s", contentDir, contentLink}} {
		if _, err := c.exec(ctx, nil, argv...); err != nil {
			return err
		}
	}
	return nil
}

// importImages puts images into containerd's store. They are unpacked on the node, where they run: unpacked twice they would only be copied more.
func (c *buildContainer) importImages(ctx context.Context, images []component) error {
	if err := c.moveContent(ctx); err != nil {
		return err
	}
	if _, err := c.exec(ctx, nil, "ctr", "version"); err == nil {
		return errors.New("containerd runs in the build container before it was started")
	}
	// Its own end is the container's.
	if err := c.b.Engine.Do(ctx, engine.Command{Args: []string{"exec", "--detach", c.id, "/usr/local/bin/containerd"}}); err != nil {
		return err
	}
	if err := c.waitContainerd(ctx); err != nil {
		return err
	}
	for _, image := range images {
		c.b.Progress.Update("importing %s", image.ref)
		if err := c.stream(ctx, image.write, "ctr", "--namespace=k8s.io", "images", "import", "--no-unpack", "-"); err != nil {
			return fmt.Errorf("import image %s: %w", image.ref, err)
		}
	}
	c.b.Progress.Finish()
	// Written out and gone: its store is a database.
	if _, err := c.exec(ctx, nil, "pkill", "--exact", "containerd"); err != nil {
		return err
	}
	return poll(ctx, containerdTimeout, "containerd has ended", func(ctx context.Context) error {
		if _, err := c.exec(ctx, nil, "pgrep", "--exact", "containerd"); err != nil {
			return nil
		}
		return errors.New("it is still there")
	})
}

func (c *buildContainer) waitContainerd(ctx context.Context) error {
	return poll(ctx, containerdTimeout, "containerd answers", func(ctx context.Context) error {
		_, err := c.exec(ctx, nil, "ctr", "version")
		return err
	})
}

// poll looks at a condition until it holds (nil). Its error says what it last saw.
func poll(ctx context.Context, timeout time.Duration, what string, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; last seen: %w", what, ctx.Err(), err)
		}
	}
}

// commit makes an image of the container.
func (c *buildContainer) commit(ctx context.Context, ref, recipe string, tags Tags, changes ...string) error {
	made, err := shape()
	if err != nil {
		return err
	}
	args := []string{"commit", "--change", "LABEL " + RecipeLabel + "=" + recipe, "--change", "LABEL " + ShapeLabel + "=" + made}
	if tags != (Tags{}) {
		label, err := json.Marshal(tags)
		if err != nil {
			return err
		}
		args = append(args, "--change", "LABEL "+TagsLabel+"="+string(label))
	}
	if len(changes) == 0 {
		changes = settings
	}
	for _, change := range changes {
		args = append(args, "--change", change)
	}
	c.b.Progress.Say("committing %s", ref)
	return c.b.Engine.Do(ctx, engine.Command{Args: append(args, c.id, ref)})
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
