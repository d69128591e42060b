package scenario

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a file: a scenario or a manifest is read up to MaxSize bytes, MaxDepth levels of nesting and MaxNodes values.
const (
	MaxSize  = 1 << 20
	MaxDepth = 50
	MaxNodes = 50_000
)

// Error is one thing that is wrong with a file, and where.
type Error struct {
	File         string
	Line, Column int
	Message      string
}

func (e Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Errors is all that is wrong with a scenario, in the order of the file.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// position is a place in the scenario file.
type position struct{ line, column int }

// decoder decodes YAML strictly into the types of this package, remembers where every field stands, and collects errors.
type decoder struct {
	file      string
	positions map[string]position
	errs      Errors
}

func (d *decoder) errorf(at position, format string, args ...any) {
	d.errs = append(d.errs, Error{File: d.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

// at is where the field with that path stands, or its nearest parent that is in the file.
func (d *decoder) at(path string) position {
	for {
		if p, ok := d.positions[path]; ok {
			return p
		}
		i := max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['))
		if i < 0 {
			return position{1, 1}
		}
		path = path[:i]
	}
}

// sorted returns the errors in the order of the file, or nil when there are none.
func (d *decoder) sorted() error {
	if len(d.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(d.errs, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return d.errs
}

// document reads the only document of source.
func (d *decoder) document(source []byte) *yaml.Node {
	if len(source) > MaxSize {
		d.errorf(position{1, 1}, "file is larger than %d KiB", MaxSize>>10)
		return nil
	}
	var doc, second yaml.Node
	parser := yaml.NewDecoder(bytes.NewReader(source))
	switch err := parser.Decode(&doc); {
	case errors.Is(err, io.EOF):
		d.errorf(position{1, 1}, "file is empty")
		return nil
	case err != nil:
		d.syntaxError(err)
		return nil
	}
	switch err := parser.Decode(&second); {
	case err == nil:
		d.errorf(nodePosition(&second), "a second document: a scenario file holds exactly one")
	case !errors.Is(err, io.EOF):
		d.syntaxError(err)
		return nil
	}
	if !d.bounded(doc.Content[0]) {
		return nil
	}
	return doc.Content[0]
}

// bounded refuses what is small as a file and large in memory: aliases, deep nesting, very many values.
func (d *decoder) bounded(root *yaml.Node) bool {
	nodes, before := 0, len(d.errs)
	var visit func(n *yaml.Node, depth int)
	visit = func(n *yaml.Node, depth int) {
		nodes++
		switch {
		case len(d.errs) > before:
		case n.Kind == yaml.AliasNode:
			d.errorf(nodePosition(n), "aliases are not allowed")
		case depth > MaxDepth:
			d.errorf(nodePosition(n), "nested deeper than %d levels", MaxDepth)
		case nodes > MaxNodes:
			d.errorf(nodePosition(n), "more than %d values", MaxNodes)
		default:
			for _, child := range n.Content {
				visit(child, depth+1)
			}
		}
	}
	visit(root, 0)
	return len(d.errs) == before
}

// lineInError finds the line in an error of the YAML parser, which has it in the text only.
var lineInError = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

func (d *decoder) syntaxError(err error) {
	at, message := position{1, 1}, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := lineInError.FindStringSubmatch(err.Error()); m != nil {
		at.line, _ = strconv.Atoi(m[1])
		message = m[2]
	}
	d.errorf(at, "not YAML: %s", message)
}

func nodePosition(n *yaml.Node) position { return position{n.Line, n.Column} }

// decode puts the node into v. path is the field's path for messages and for positions: "spec.steps[2].drain".
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string) {
	d.positions[path] = nodePosition(n)
	if n.Tag == "!!null" {
		d.errorf(nodePosition(n), "%s is empty: give it a value or leave it out", path)
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if n.Kind != yaml.ScalarNode {
			d.wants(n, path, "a single value")
		} else if err := u.UnmarshalText([]byte(n.Value)); err != nil {
			d.errorf(nodePosition(n), "%s: %v", path, err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), path)
	case reflect.Struct:
		d.decodeStruct(n, v, path)
	case reflect.Slice:
		d.decodeSlice(n, v, path)
	case reflect.Map:
		d.decodeMap(n, v, path)
	case reflect.Interface:
		d.decodeAny(n, v, path)
	default:
		d.decodeScalar(n, v, path)
	}
}

func (d *decoder) wants(n *yaml.Node, path, what string) {
	got := map[yaml.Kind]string{yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list"}[n.Kind]
	if got == "" {
		got = strconv.Quote(n.Value)
	}
	d.errorf(nodePosition(n), "%s: expected %s, found %s", path, what, got)
}

// pairs goes through a mapping's entries and reports keys that are used twice or are not plain strings.
func (d *decoder) pairs(n *yaml.Node, path string, visit func(key, value *yaml.Node)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			d.errorf(nodePosition(key), "%s: expected a plain key", path)
			continue
		}
		if first, ok := seen[key.Value]; ok {
			d.errorf(nodePosition(key), "%s: key %q is used twice, first in line %d", path, key.Value, first)
			continue
		}
		seen[key.Value] = key.Line
		visit(key, n.Content[i+1])
	}
}

func (d *decoder) decodeStruct(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.wants(n, path, "a mapping")
		return
	}
	known := map[string]reflect.StructField{}
	for _, f := range fields(v.Type()) {
		known[fieldName(f)] = f
	}
	present := map[string]bool{}
	d.pairs(n, path, func(key, value *yaml.Node) {
		f, ok := known[key.Value]
		if !ok {
			d.errorf(nodePosition(key), "%s: unknown field %q; known are %s", path, key.Value, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			return
		}
		present[key.Value] = true
		d.decode(value, v.FieldByIndex(f.Index), join(path, key.Value))
	})
	for _, f := range fields(v.Type()) {
		if name := fieldName(f); isRequired(f) && !present[name] {
			d.errorf(nodePosition(n), "%s is required", join(path, name))
		}
	}
}

func (d *decoder) decodeSlice(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.wants(n, path, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.decode(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (d *decoder) decodeMap(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.wants(n, path, "a mapping")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, path, func(key, value *yaml.Node) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.decode(value, item, join(path, key.Value))
		v.SetMapIndex(reflect.ValueOf(key.Value), item)
	})
}

// decodeAny decodes free-form values, such as the parameters of policies.
func (d *decoder) decodeAny(n *yaml.Node, v reflect.Value, path string) {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		d.decode(n, reflect.ValueOf(&m).Elem(), path)
		v.Set(reflect.ValueOf(m))
	case yaml.SequenceNode:
		list := []any{}
		d.decode(n, reflect.ValueOf(&list).Elem(), path)
		v.Set(reflect.ValueOf(list))
	default:
		var value any
		switch n.Tag {
		case "!!str", "!!int", "!!float", "!!bool":
		default:
			d.errorf(nodePosition(n), "%s: values of type %s are not allowed; quote it", path, n.Tag)
			return
		}
		if err := n.Decode(&value); err != nil {
			d.errorf(nodePosition(n), "%s: %v", path, err)
			return
		}
		v.Set(reflect.ValueOf(value))
	}
}

func (d *decoder) decodeScalar(n *yaml.Node, v reflect.Value, path string) {
	tag, what := "!!int", "a whole number"
	switch v.Kind() {
	case reflect.String:
		tag, what = "!!str", "a string (quote it)"
	case reflect.Bool:
		tag, what = "!!bool", "true or false"
	}
	if n.Kind != yaml.ScalarNode || n.Tag != tag || n.Decode(v.Addr().Interface()) != nil {
		d.wants(n, path, what)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// fields are the fields of a struct as a file has them: those of an embedded struct are its own.
func fields(t reflect.Type) []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return f.Anonymous })
}

func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func isRequired(f reflect.StructField) bool {
	return slices.Contains(strings.Split(f.Tag.Get("jsonschema"), ","), "required")
}
