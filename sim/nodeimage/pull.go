package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/mod/semver"

	"github.com/seatrial/seatrial/sim/engine"
)

// Upstream is the repository of kind's own node images (https://github.com/kubernetes-sigs/kind/releases).
const Upstream = "docker.io/kindest/node"

const (
	// askTimeout bounds the questions to a registry, so that one that can't be reached costs little.
	askTimeout = 15 * time.Second
	// pullTimeout bounds the download of an image.
	pullTimeout = 20 * time.Minute
)

// ShapeLabel says which seatrial put an image together: its parts but for those of Kubernetes. An image of another shape may lack what we count on.
const ShapeLabel = "dev.seatrial.shape"

// Get is the node image of a Kubernetes version, a minor or exact: the one of ours that the engine has, else kind's own out of the registry, by
// digest, else one that is built. An image that was carried here (save, load) needs neither a registry nor anything to build with.
func (b *Builder) Get(ctx context.Context, version string) (Image, error) {
	image, err := b.present(ctx, version)
	if err != nil || image.Ref != "" {
		return image, err
	}
	if b.Registry == "" {
		return b.Build(ctx, version)
	}
	image, pullErr := b.pull(ctx, version)
	if pullErr == nil || ctx.Err() != nil {
		return image, pullErr
	}
	b.Progress.Say("%v: building it instead", pullErr)
	image, err = b.Build(ctx, version)
	if err != nil {
		return image, errors.Join(pullErr, err)
	}
	return image, nil
}

// present is the newest image of ours for a version that the engine has, or none.
func (b *Builder) present(ctx context.Context, version string) (Image, error) {
	images, err := b.List(ctx)
	if err != nil {
		return Image{}, err
	}
	want, err := shape()
	if err != nil {
		return Image{}, err
	}
	var found Image
	for _, image := range images {
		if !of(image.Version, version) || semver.Compare(image.Version, found.Version) <= 0 {
			continue
		}
		has, err := b.Engine.ImageLabel(ctx, image.Ref, ShapeLabel)
		if err != nil {
			return Image{}, err
		}
		if has == want {
			found = image
		}
	}
	return found, nil
}

// of tells whether an exact version is the wanted one, or of the wanted minor.
func of(exact, wanted string) bool {
	return exact == wanted || semver.IsValid(exact) && semver.MajorMinor(exact) == wanted
}

// shape is the key of what images have beside a Kubernetes release.
func shape() (string, error) {
	network, err := podnet()
	if err != nil {
		return "", err
	}
	kindVersion, err := linked("sigs.k8s.io/kind")
	return key([]any{revision, suite, packages, proxyPackages, kindVersion, source("podnet/manifest.yaml"), network.Key(), workload.Key(), pause.Key()}), err
}

// pull has the engine pull kind's node image, by the digest that the registry has for the version today.
func (b *Builder) pull(ctx context.Context, version string) (Image, error) {
	image, err := resolve(ctx, b.Registry, version)
	if err != nil {
		return Image{}, fmt.Errorf("find node image of %s in %s: %w", version, b.Registry, err)
	}
	has, err := b.Engine.HasImage(ctx, image.Ref)
	if err == nil && !has {
		b.Progress.Say("pulling %s (%s)", image.Ref, image.Version)
		err = b.pullRef(ctx, image.Ref)
	}
	if err != nil {
		return Image{}, fmt.Errorf("pull node image of %s: %w", version, err)
	}
	return image, nil
}

func (b *Builder) pullRef(ctx context.Context, ref string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pullTimeout, fmt.Errorf("%s is not pulled within %s", ref, pullTimeout))
	defer cancel()
	args := []string{"pull", "--quiet"}
	if b.Engine.Name == engine.Podman && onLoopback(ref) {
		args = append(args, "--tls-verify=false") // docker does so by itself
	}
	return b.Engine.Do(ctx, engine.Command{Args: append(args, ref)})
}

// onLoopback tells whether a reference's registry is on this machine.
func onLoopback(ref string) bool {
	host, _, _ := strings.Cut(ref, "/")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

var releaseTag = regexp.MustCompile(`^v1\.\d+\.\d+$`)

// resolve asks a registry for the image of a version, of a minor the newest patch, and names it by its digest: a tag can be moved.
func resolve(ctx context.Context, repository, version string) (Image, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, fmt.Errorf("no answer within %s", askTimeout))
	defer cancel()
	repo, err := name.NewRepository(repository)
	if err != nil {
		return Image{}, err
	}
	exact := version
	if !releaseTag.MatchString(version) {
		tags, err := remote.List(repo, remote.WithContext(ctx))
		if err != nil {
			return Image{}, err
		}
		exact = ""
		for _, t := range tags {
			if releaseTag.MatchString(t) && of(t, version) && semver.Compare(t, exact) > 0 {
				exact = t
			}
		}
		if exact == "" {
			return Image{}, fmt.Errorf("it has no %s", version)
		}
	}
	descriptor, err := remote.Head(repo.Tag(exact), remote.WithContext(ctx))
	if err != nil {
		return Image{}, err
	}
	return Image{Ref: repository + "@" + descriptor.Digest.String(), Version: exact}, nil
}

// GetBalancer makes the engine have the image of kind's load balancer container: the real one where it is there or can be pulled, else ours.
func (b *Builder) GetBalancer(ctx context.Context, ref string) error {
	has, err := b.Engine.HasImage(ctx, ref)
	if err != nil {
		return err
	}
	if !has && b.Registry == Upstream && b.pullRef(ctx, ref) == nil {
		return nil
	}
	return b.BuildBalancer(ctx, ref)
}

// WithWorkload gives do the workload program and its image as an archive, for nodes that were not made from an
// image of ours. The archive is gone afterwards.
func (b *Builder) WithWorkload(ctx context.Context, do func(program, archive string) error) error {
	dir, err := b.Tools.Get(ctx, workload)
	if err != nil {
		return err
	}
	return b.temporary(func(work string) error {
		program, archive := filepath.Join(dir, "workload"), filepath.Join(work, "workload.tar")
		file, err := os.Create(archive)
		if err != nil {
			return err
		}
		image := component{ref: Workload, files: map[string]string{"workload": program}, entrypoint: []string{"/workload"}}
		if err := errors.Join(image.write(file), file.Close()); err != nil {
			return fmt.Errorf("write image %s: %w", Workload, err)
		}
		return do(program, archive)
	})
}
