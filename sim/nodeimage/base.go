package nodeimage

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seatrial/seatrial/sim/gobuild"
	"github.com/seatrial/seatrial/sim/proc"
)

const (
	stopGrace = 3 * time.Second
	// bootstrapTimeout bounds the making of a small Debian, which took half a minute where Debian's mirror was near.
	bootstrapTimeout = 20 * time.Minute
)

// ensureBase is the image of the machine that nodes are: Debian with kind's files.
func (b *Builder) ensureBase(ctx context.Context, kind string) (string, error) {
	recipe := key([]any{baseRevision, suite, packages, filepath.Base(kind)})
	ref := base + ":" + recipe
	err := b.once(ctx, ref, recipe, func() error {
		return b.temporary(func(dir string) error {
			rootfs := filepath.Join(dir, "rootfs.tar")
			if err := b.bootstrap(ctx, "minbase", packages, rootfs); err != nil {
				return err
			}
			return b.loadRootfs(ctx, ref, rootfs, recipe, machine(kind))
		})
	})
	if err != nil {
		return "", fmt.Errorf("build base image: %w", err)
	}
	return ref, nil
}

// temporary gives do a folder that is gone afterwards, also when we are killed.
func (b *Builder) temporary(do func(dir string) error) (err error) {
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return err
	}
	dir, err := b.Supervisor.TempDir(b.Dir, ".work-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Supervisor.RemoveDir(dir)) }()
	return do(dir)
}

// bootstrap makes a file system out of Debian packages, as a tar file.
func (b *Builder) bootstrap(ctx context.Context, variant string, packages []string, out string) error {
	path, err := exec.LookPath("mmdebstrap")
	if err != nil {
		return fmt.Errorf("mmdebstrap is not installed, and the image's Debian is made with it: apt-get install mmdebstrap")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bootstrapTimeout, fmt.Errorf("mmdebstrap has not ended within %s", bootstrapTimeout))
	defer cancel()
	b.Progress.Say("making a Debian %s of %d packages and what they need", suite, len(packages))
	defer b.Progress.Finish()
	return b.Supervisor.Run(ctx, proc.Command{
		Name: "mmdebstrap", Path: path, Args: []string{"--variant=" + variant, "--include=" + strings.Join(packages, ","), suite, out},
		Env:    append(proc.Environment(), "TMPDIR="+filepath.Dir(out)),
		OnLine: func(line string) { b.Progress.Update("mmdebstrap: %s", line) },
	}, stopGrace)
}

// edit changes a file system on its way from one tar file to another.
type edit struct {
	// drop tells which paths ("usr/share/doc/…") are left out.
	drop func(path string) bool
	// add writes what is put on top.
	add func(out *tar.Writer) error
}

// apply copies the file system. A path is in the result once, as the engines want it: what is put on top wins.
func (e edit) apply(in io.Reader, out io.Writer) error {
	var top bytes.Buffer
	adding := tar.NewWriter(&top)
	if err := errors.Join(e.add(adding), adding.Close()); err != nil {
		return err
	}
	added, err := names(bytes.NewReader(top.Bytes()))
	if err != nil {
		return err
	}
	writer := tar.NewWriter(out)
	written := map[string]bool{}
	below := func(h *tar.Header) bool {
		device := h.Typeflag == tar.TypeBlock || h.Typeflag == tar.TypeChar // they come with the container
		return h.Name != "" && !device && !e.drop(h.Name) && (h.Typeflag == tar.TypeDir || !added[path.Clean(h.Name)])
	}
	if err := copyTar(writer, in, written, below); err != nil {
		return err
	}
	if err := copyTar(writer, &top, written, func(*tar.Header) bool { return true }); err != nil {
		return err
	}
	return writer.Close()
}

// names are the paths in a tar file.
func names(in io.Reader) (map[string]bool, error) {
	found := map[string]bool{}
	err := copyTar(tar.NewWriter(io.Discard), in, found, func(*tar.Header) bool { return true })
	return found, err
}

// copyTar copies the wanted entries that are not written yet.
func copyTar(out *tar.Writer, in io.Reader, written map[string]bool, want func(*tar.Header) bool) error {
	for reader := tar.NewReader(in); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		header.Name = strings.TrimPrefix(header.Name, "./")
		clean := path.Clean(header.Name)
		if written[clean] || !want(header) {
			continue
		}
		written[clean] = true
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(out, reader); err != nil {
			return err
		}
	}
}

// unread are the folders of Debian that no node reads. A node's /var is a volume, copied and deleted file by file with each node: where the disk discards what is
// freed, a file costs a millisecond of the removal.
var unread = []string{
	"usr/lib/x86_64-linux-gnu/gconv/", "usr/lib/x86_64-linux-gnu/perl/", "usr/share/bash-completion/", "usr/share/doc/", "usr/share/info/", "usr/share/lintian/",
	"usr/share/locale/", "usr/share/man/", "usr/share/perl/", "var/cache/apt/", "var/lib/apt/lists/", "var/lib/dpkg/info/",
}

// bulk tells whether a path is in one of them. They themselves stay.
func bulk(name string) bool {
	return slices.ContainsFunc(unread, func(dir string) bool { return strings.HasPrefix(name, dir) && name != dir })
}

// machine makes of a Debian what kind's images/base/Dockerfile makes of it: its files are there, and of systemd's units only those of a node are on.
func machine(kind string) edit {
	files := filepath.Join(kind, "images", "base", "files")
	return edit{
		drop: func(name string) bool { return bulk(name) || unwanted(name) },
		add: func(out *tar.Writer) error {
			if err := addTree(out, files); err != nil {
				return err
			}
			return errors.Join(
				addFile(out, "etc/systemd/journald.conf.d/kind.conf", 0o644, "[Journal]\nReadKMsg=no\n"),
				addLink(out, "etc/systemd/system/multi-user.target.wants/kubelet.service", "/etc/systemd/system/kubelet.service"),
				addLink(out, "etc/systemd/system/multi-user.target.wants/containerd.service", "/etc/systemd/system/containerd.service"),
				addLink(out, "etc/systemd/system/multi-user.target.wants/undo-mount-hacks.service", "/etc/systemd/system/undo-mount-hacks.service"),
				addLink(out, "etc/systemd/system/systemd-binfmt.service", "/dev/null"),
				addLink(out, "usr/local/bin/containerd", "/usr/bin/containerd"), // where kind's unit looks for it
				addDir(out, "etc/kubernetes/manifests"), addDir(out, "opt/cni/bin"), addDir(out, "kind/manifests"),
			)
		},
	}
}

// unwanted are the units that the Dockerfile removes, and those of Debian's packages in whose place kind's are.
func unwanted(name string) bool {
	dir, file := path.Split(name)
	dir = strings.TrimPrefix(dir, "usr/")
	if file == "" {
		return false
	}
	switch dir {
	case "lib/systemd/system/multi-user.target.wants/", "lib/systemd/system/local-fs.target.wants/", "lib/systemd/system/basic.target.wants/":
		return true
	case "lib/systemd/system/sysinit.target.wants/":
		return file == "systemd-tmpfiles-setup.service"
	case "lib/systemd/system/sockets.target.wants/":
		return strings.Contains(file, "udev") || strings.Contains(file, "initctl")
	}
	return strings.HasPrefix(dir, "etc/systemd/system/") && strings.HasSuffix(dir, ".wants/") || name == "etc/containerd/config.toml"
}

// addTree adds a folder's files, with the modes that kind's Dockerfile gives them.
func addTree(out *tar.Writer, root string) error {
	return filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		if entry.IsDir() {
			return addDir(out, name)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if strings.HasPrefix(name, "usr/local/bin/") || strings.HasPrefix(name, "kind/bin/") {
			mode = 0o755
		}
		return addFile(out, name, mode, string(content))
	})
}

func addFile(out *tar.Writer, name string, mode int64, content string) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := io.WriteString(out, content)
	return err
}

func addDir(out *tar.Writer, name string) error {
	return out.WriteHeader(&tar.Header{Name: name + "/", Mode: 0o755, Typeflag: tar.TypeDir})
}

func addLink(out *tar.Writer, name, to string) error {
	return out.WriteHeader(&tar.Header{Name: name, Linkname: to, Mode: 0o777, Typeflag: tar.TypeSymlink})
}

// kindModule is the folder of the kind module that is linked into this program: its base image's files are in it.
func (b *Builder) kindModule(ctx context.Context, version string) (dir string, err error) {
	err = b.temporary(func(work string) error {
		dir, err = gobuild.Source(ctx, b.Supervisor, work, "sigs.k8s.io/kind@"+version)
		return err
	})
	return dir, err
}
