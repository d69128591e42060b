package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	manifestName = "manifest.json"
	// workPrefix begins the names of what is not finished. Under the lock, whoever made it is dead.
	workPrefix  = ".work-"
	workPattern = workPrefix + "*"
)

// folder is the path of the folder of one version.
type folder string

func (f folder) path(component string) string { return filepath.Join(string(f), component) }

// manifest says of each component in a folder what it was when it was stored. A file that the manifest does not name is
// not believed.
type manifest map[string]entry

type entry struct {
	Size     int64     `json:"size"` // bytes
	Modified time.Time `json:"modified"`
	SHA256   string    `json:"sha256"`
	Source   Source    `json:"source"`
}

// manifest reads the manifest. One that is not there or can't be read is empty: then all is had again.
func (f folder) manifest() manifest {
	m := manifest{}
	data, err := os.ReadFile(f.path(manifestName))
	if err != nil || json.Unmarshal(data, &m) != nil || m == nil {
		return manifest{}
	}
	return m
}

func (m manifest) components() []string { return slices.Sorted(maps.Keys(m)) }

// stat looks for a component in the folder. It is not ok when the manifest does not name it or the size is another.
func (m manifest) stat(f folder, component string) (info os.FileInfo, ok bool) {
	e, ok := m[component]
	if !ok {
		return nil, false
	}
	info, err := os.Lstat(f.path(component))
	return info, err == nil && info.Mode().IsRegular() && info.Size() == e.Size
}

// unchanged says whether all the components are in the folder as they were stored. It looks at size and time only, so that
// a Get from the cache takes no time.
func (m manifest) unchanged(f folder, components []string) bool {
	for _, c := range components {
		if info, ok := m.stat(f, c); !ok || !info.ModTime().Equal(m[c].Modified) {
			return false
		}
	}
	return true
}

// release is what the manifest says of the components, which it must have.
func (f folder) release(m manifest, components []string) Release {
	r := Release{Version: filepath.Base(string(f)), Dir: string(f), Components: map[string]File{}}
	for _, c := range components {
		r.Components[c] = File{Path: f.path(c), SHA256: m[c].SHA256, Source: m[c].Source}
	}
	return r
}

// rehash says whether a file whose size or time has changed, by a copy of the cache perhaps, still has its content. If
// so it is noted as it is now; if not it is thrown away.
func (f folder) rehash(m manifest, component string) (bool, error) {
	if info, ok := m.stat(f, component); ok {
		sum, err := hashFile(f.path(component))
		if err != nil {
			return false, err
		}
		if e := m[component]; sum == e.SHA256 {
			e.Modified = info.ModTime()
			m[component] = e
			return true, f.writeManifest(m)
		}
	}
	delete(m, component)
	if err := os.RemoveAll(f.path(component)); err != nil {
		return false, fmt.Errorf("throw away a corrupt file: %w", err)
	}
	return false, f.writeManifest(m)
}

// add makes a finished file the component's. Killed between any two lines, it leaves a file that the manifest does not
// name, or a finished one.
func (f folder) add(m manifest, component, finished string, source Source) error {
	sum, err := hashFile(finished)
	if err != nil {
		return err
	}
	// Whole seconds survive a copy of the cache: most archives have no more.
	modified := time.Now().Truncate(time.Second)
	if err := errors.Join(os.Chmod(finished, 0o755), os.Chtimes(finished, modified, modified), syncPath(finished)); err != nil {
		return err
	}
	info, err := os.Lstat(finished)
	if err != nil {
		return err
	}
	if err := os.Rename(finished, f.path(component)); err != nil {
		return err
	}
	if err := syncPath(string(f)); err != nil {
		return err
	}
	m[component] = entry{Size: info.Size(), Modified: info.ModTime(), SHA256: sum, Source: source}
	return f.writeManifest(m)
}

// writeManifest replaces the manifest by a whole one.
func (f folder) writeManifest(m manifest) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	temp := f.path(workPrefix + manifestName)
	if err := os.WriteFile(temp, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	if err := syncPath(temp); err != nil {
		return err
	}
	if err := os.Rename(temp, f.path(manifestName)); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	return syncPath(string(f))
}

// removeLeftovers removes what dead processes left. The caller holds the lock.
func (f folder) removeLeftovers() error {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return fmt.Errorf("look for left-over files: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), workPrefix) {
			errs = append(errs, os.RemoveAll(f.path(e.Name())))
		}
	}
	return errors.Join(errs...)
}

// hashFile is the SHA-256 of a file in hex: 100 MB take about 0.3 s.
func hashFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// syncPath puts a file, or the names in a folder, on the disk.
func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
