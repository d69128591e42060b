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

// read reads files of a node, or all below a folder, by their paths below dir. They stay in memory and out of the trace: they may be secret.
func (c *Cluster) read(ctx context.Context, m machine, dir string, names ...string) (map[string][]byte, error) {
	var archive bytes.Buffer
	argv := slices.Concat([]string{"exec", m.container, "tar", "-C", dir, "-cf", "-"}, names)
	if err := c.engine.Do(ctx, engine.Command{Args: argv, Stdout: &archive}); err != nil {
		return nil, err
	}
	return unpack(&archive)
}

// unpack reads the files of an archive, by their paths.
func unpack(archive io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
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
		if files[path.Clean(h.Name)], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}
