package kind

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"slices"

	"github.com/seatrial/seatrial/sim/engine"
)

// read reads files of a node, or all below a folder, by their paths below dir.
func (c *Cluster) read(ctx context.Context, m machine, dir string, names ...string) (map[string][]byte, error) {
	entries, err := c.unpacked(ctx, m, dir, names...)
	if err != nil {
		return nil, err
	}
	return byPath(entries), nil
}

func byPath(entries []entry) map[string][]byte {
	files := map[string][]byte{}
	for _, e := range entries {
		files[path.Clean(e.header.Name)] = e.content
	}
	return files
}

// entry is a file in an archive.
type entry struct {
	header  *tar.Header
	content []byte
}

// unpacked reads files of a node, with what tar makes of these arguments. They stay in memory and out of the trace: they may be secret.
func (c *Cluster) unpacked(ctx context.Context, m machine, dir string, args ...string) ([]entry, error) {
	var archive bytes.Buffer
	argv := slices.Concat([]string{"exec", m.container, "tar", "-C", dir, "-cf", "-"}, args)
	if err := c.engine.Do(ctx, engine.Command{Args: argv, Stdout: &archive}); err != nil {
		return nil, err
	}
	return unpack(&archive)
}

// unpack reads the files of an archive.
func unpack(archive io.Reader) ([]entry, error) {
	var files []entry
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		files = append(files, entry{h, content})
	}
}
