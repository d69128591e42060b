package scenario

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/cluster"
)

// File is a scenario that was read, checked and filled with defaults, together with the manifests that it names.
type File struct {
	Scenario
	// Path is the file's path as it was given.
	Path string
	// Source is the file as it was read.
	Source []byte

	manifests map[string][]*unstructured.Unstructured
	place     func(path string) position
}

// Place says where the field with that path stands in the file, or its nearest parent: line and column, from 1.
func (f *File) Place(path string) (line, column int) {
	at := f.place(path)
	return at.line, at.column
}

// Load reads a scenario: a file, or a folder with a scenario.yaml. What is wrong with its content comes back as [Errors], all of it at once.
func Load(path string) (*File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "scenario.yaml")
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("read scenario %q: %w", path, err)
	}
	defer root.Close()
	source, err := readBounded(root, filepath.Base(path))
	if err != nil {
		return nil, fmt.Errorf("read scenario %q: %w", path, err)
	}
	return parse(path, source, root)
}

// ParseRecorded checks the scenario of a recorded run. The manifests that it names stay where they were: nothing is applied again.
func ParseRecorded(path string, source []byte) (*File, error) { return parse(path, source, nil) }

// parse checks a scenario, and with a root also the manifests that it names.
func parse(path string, source []byte, root *os.Root) (*File, error) {
	f := &File{Path: path, Source: source, manifests: map[string][]*unstructured.Unstructured{}}
	d := &decoder{file: path, positions: map[string]position{}}
	f.place = d.at
	if doc := d.document(source); doc != nil {
		d.decode(doc, reflect.ValueOf(&f.Scenario).Elem(), "")
	}
	if len(d.errs) == 0 {
		f.setDefaults(func(path string) bool { _, ok := d.positions[path]; return ok })
		f.validate(d)
		if root != nil {
			f.readManifests(d, root)
		}
	}
	return f, d.sorted()
}

// Manifests returns the objects of a file that the scenario names. The caller may change them.
func (f *File) Manifests(file string) []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for _, o := range f.manifests[file] {
		objects = append(objects, o.DeepCopy())
	}
	return objects
}

// Stores tells whether a step keeps something in object storage.
func (f *File) Stores() bool {
	return slices.ContainsFunc(f.Spec.Steps, func(s Step) bool { return s.Backup != nil && s.Backup.To == KeptObjectStorage })
}

// LooksAtCertificates tells whether a step looks at certificates, renews them, replaces who signs them, or waits for their end.
func (f *File) LooksAtCertificates() bool {
	return slices.ContainsFunc(f.Spec.Steps, func(s Step) bool {
		return s.CheckCertificates != nil || s.RenewCertificates != nil || s.RotateCA != nil || s.WaitUntilExpired != nil
	})
}

// Nodes lists the nodes that the scenario asks for.
func (f *File) Nodes() []cluster.Node {
	var nodes []cluster.Node
	for i := range f.Spec.Cluster.ControlPlanes {
		nodes = append(nodes, cluster.Node{Name: fmt.Sprintf("cp-%d", i+1), Role: cluster.ControlPlane})
	}
	for i := range f.Spec.Cluster.Workers {
		nodes = append(nodes, cluster.Node{Name: fmt.Sprintf("worker-%d", i+1), Role: cluster.Worker})
	}
	return nodes
}

// readBounded reads a file of at most MaxSize bytes; one byte more tells that it is larger.
func readBounded(root *os.Root, name string) ([]byte, error) {
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	return io.ReadAll(io.LimitReader(file, MaxSize+1))
}

// readManifests reads every file that the scenario names, once. [os.Root] keeps names and symbolic links inside the folder.
func (f *File) readManifests(d *decoder, root *os.Root) {
	read := func(name, path string) {
		if _, done := f.manifests[name]; done || name == "" {
			return
		}
		source, err := readBounded(root, name)
		if err != nil {
			d.errorf(d.at(path), "%s: %v", path, manifestError(name, err))
			return
		}
		f.manifests[name] = d.manifest(filepath.Join(filepath.Dir(f.Path), name), source)
	}
	for i, o := range f.Spec.Objects {
		read(o.File, fmt.Sprintf("spec.objects[%d].file", i))
	}
	for i, s := range f.Spec.Steps {
		if s.Apply != nil {
			read(s.Apply.File, fmt.Sprintf("spec.steps[%d].apply.file", i))
		}
	}
}

func manifestError(name string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("file %q can't be read from the scenario's folder: %w", name, err)
}

// manifest decodes the documents of a manifest file. Its errors name that file.
func (d *decoder) manifest(file string, source []byte) []*unstructured.Unstructured {
	fail := func(line int, format string, args ...any) {
		d.errs = append(d.errs, Error{File: file, Line: line, Column: 1, Message: fmt.Sprintf(format, args...)})
	}
	if len(source) > MaxSize {
		fail(1, "file is larger than %d KiB", MaxSize>>10)
		return nil
	}
	var objects []*unstructured.Unstructured
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(source)))
	line := 1
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fail(line, "not YAML: %v", err)
			break
		}
		first := line
		line += bytes.Count(doc, []byte("\n")) + 1
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		if !d.boundedDocument(file, doc, first) {
			continue
		}
		var content map[string]any
		if err := yaml.UnmarshalStrict(doc, &content); err != nil {
			fail(first, "%v", err)
			continue
		}
		if content == nil { // only comments
			continue
		}
		found, err := objectsOf(content)
		if err != nil {
			fail(first, "%v", err)
			continue
		}
		objects = append(objects, found...)
	}
	if len(objects) == 0 && len(d.errs) == 0 {
		fail(1, "file holds no Kubernetes object")
	}
	return objects
}

// boundedDocument refuses a document of a manifest that is small as a file and large in memory. first is its first line.
func (d *decoder) boundedDocument(file string, doc []byte, first int) bool {
	var node yamlv3.Node
	if err := yamlv3.Unmarshal(doc, &node); err != nil || len(node.Content) == 0 {
		return true // the strict decoder says what is wrong
	}
	check := &decoder{file: file}
	check.bounded(node.Content[0])
	for _, e := range check.errs {
		e.Line += first - 1
		d.errs = append(d.errs, e)
	}
	return len(check.errs) == 0
}

// typed decodes an object of a kind that Kubernetes itself has, strictly: what the API server would refuse is said with its place.
func typed(o *unstructured.Unstructured) error {
	if !scheme.Scheme.Recognizes(o.GroupVersionKind()) {
		return nil
	}
	raw, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	_, _, err = strict.Decode(raw, nil, nil)
	return err
}

var strict = json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Strict: true})

// objectsOf checks a document, and takes a List apart.
func objectsOf(content map[string]any) ([]*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{Object: content}
	if o.IsList() {
		list, err := o.ToList()
		if err != nil {
			return nil, fmt.Errorf("read list: %w", err)
		}
		var objects []*unstructured.Unstructured
		for i := range list.Items {
			found, err := objectsOf(list.Items[i].Object)
			if err != nil {
				return nil, fmt.Errorf("item %d: %w", i, err)
			}
			objects = append(objects, found...)
		}
		return objects, nil
	}
	switch {
	case o.GetAPIVersion() == "":
		return nil, errors.New("object has no apiVersion")
	case o.GetKind() == "":
		return nil, errors.New("object has no kind")
	case o.GetName() == "":
		return nil, fmt.Errorf("%s has no metadata.name", o.GetKind())
	}
	if err := typed(o); err != nil {
		return nil, fmt.Errorf("%s %q: %w", o.GetKind(), o.GetName(), err)
	}
	return []*unstructured.Unstructured{o}, nil
}
