package nodeimage

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	// upgradeRepository is where node images are that can be upgraded, apart from those that can't: "seatrial.dev/upgrade:v1.33.13-to-v1.34.4".
	upgradeRepository = "seatrial.dev/upgrade"
	// StageDir is where such an image has the programs of the other versions, in a folder each, as a package manager's cache has them. Their images are in containerd's store.
	StageDir = "/opt/seatrial"
)

// BuildUpgrade is the node image of a version that has what takes it to other versions too: their kubeadm, kubelet and kubectl in [StageDir], and the images that their kubeadm
// uses. It gives the image, and what it was made for, in the order of to.
func (b *Builder) BuildUpgrade(ctx context.Context, version string, to ...string) (image Image, targets []Image, err error) {
	image, targets, err = b.buildUpgrade(ctx, version, to)
	if err != nil {
		return Image{}, nil, fmt.Errorf("build node image of %s for an upgrade to %s: %w", version, strings.Join(to, " and "), err)
	}
	return image, targets, nil
}

func (b *Builder) buildUpgrade(ctx context.Context, version string, to []string) (Image, []Image, error) {
	from, err := b.gather(ctx, version)
	if err != nil {
		return Image{}, nil, err
	}
	image, err := b.ensure(ctx, from)
	if err != nil {
		return Image{}, nil, err
	}
	ref := upgradeRepository + ":" + image.Version + "-to"
	recipes := []string{key(from.recipe)}
	var all []*ingredients
	var targets []Image
	for _, v := range to {
		target, err := b.gather(ctx, v)
		if err != nil {
			return Image{}, nil, err
		}
		ref += "-" + target.release.Version
		recipes = append(recipes, key(target.recipe))
		all = append(all, target)
		targets = append(targets, Image{Version: target.release.Version, Tags: target.tags})
	}
	recipe := key(recipes)
	err = b.once(ctx, ref, recipe, func() error { return b.assembleUpgrade(ctx, image, from, all, ref, recipe) })
	image.Ref = ref
	return image, targets, err
}

// assembleUpgrade adds to the node image of a version what others have and it has not.
func (b *Builder) assembleUpgrade(ctx context.Context, image Image, from *ingredients, targets []*ingredients, ref, recipe string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, assembleTimeout, fmt.Errorf("%s is not made within %s", ref, assembleTimeout))
	defer cancel()
	return b.temporary(func(dir string) error {
		proxy, err := b.proxyRootfs(ctx, dir)
		if err != nil {
			return err
		}
		has := map[string]bool{}
		for _, c := range from.components("") {
			has[c.ref] = true
		}
		var images []component
		for _, target := range targets {
			added := slices.DeleteFunc(target.components(proxy), func(c component) bool { return has[c.ref] })
			for _, c := range added {
				has[c.ref] = true
			}
			images = append(images, added...)
		}
		return b.inContainer(ctx, image.Ref, func(c *buildContainer) error {
			b.Progress.Say("putting %s together", ref)
			err := c.copyIn(ctx, func(out *tar.Writer) error {
				var errs []error
				for _, target := range targets {
					for _, name := range []string{"kubeadm", "kubectl", "kubelet"} {
						at := path.Join(strings.TrimPrefix(StageDir, "/"), target.release.Version, name)
						errs = append(errs, addExecutable(out, at, target.release.Components[name].Path))
					}
				}
				return errors.Join(errs...)
			})
			if err != nil {
				return err
			}
			if err := c.importImages(ctx, images); err != nil {
				return err
			}
			return c.commit(ctx, ref, recipe, image.Tags)
		})
	})
}
