package judge

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/seatrial/seatrial/policies"
)

// Source is a folder of policies, laid out as group/name/name.rego with name_test.rego beside it. What policies share is in
// lib/name/name.rego.
type Source struct {
	// Name stands before the files' paths in messages.
	Name string
	open func() (fs.FS, func() error, error)
}

// Embedded is the library that is part of the binary.
func Embedded() Source { return FS("policies", policies.FS) }

// FS is a folder in any file system.
func FS(name string, files fs.FS) Source {
	return Source{Name: name, open: func() (fs.FS, func() error, error) {
		return files, func() error { return nil }, nil
	}}
}

// Dir is a folder of the user's. Nothing outside of it is read, not through symbolic links either.
func Dir(dir string) Source {
	return Source{Name: dir, open: func() (fs.FS, func() error, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, nil, err
		}
		return root.FS(), root.Close, nil
	}}
}

// Library is a set of policies that fit together, ready to judge. It may be used from many goroutines at once.
type Library struct {
	// Deadline is how long one evaluation of one policy may take before it is called Unknown.
	Deadline time.Duration

	policies []*Policy // ordered by id
	modules  map[string]*ast.Module
	tests    map[string]*ast.Module
	compiler *ast.Compiler
}

// Policies lists the policies, ordered by id.
func (l *Library) Policies() []*Policy { return slices.Clone(l.policies) }

// Policy returns the policy with that id, or nil.
func (l *Library) Policy(id string) *Policy {
	i, found := slices.BinarySearchFunc(l.policies, id, func(p *Policy, id string) int { return cmp.Compare(p.ID, id) })
	if !found {
		return nil
	}
	return l.policies[i]
}

// Load reads, checks and compiles the policies of all sources together. An id that two sources have is an error: a library
// where one folder quietly replaces another's policy can't be trusted. The error is a [*PolicyError] with every problem
// when the policies are at fault, and another when a folder can't be read.
func Load(sources ...Source) (*Library, error) {
	ld := &loader{lib: &Library{Deadline: DefaultDeadline, modules: map[string]*ast.Module{}, tests: map[string]*ast.Module{}}, from: map[string]string{}}
	ld.allowed, ld.denied = sandbox()
	for _, s := range sources {
		if err := ld.source(s); err != nil {
			return nil, fmt.Errorf("read policies %q: %w", s.Name, err)
		}
	}
	slices.SortFunc(ld.lib.policies, func(a, b *Policy) int { return cmp.Compare(a.ID, b.ID) })
	if !ld.unparsed {
		ld.lib.compiler = ld.compile(ld.lib.modules)
	}
	if err := ld.problems.err(); err != nil {
		return nil, err
	}
	return ld.lib, nil
}

// loader is one Load under way.
type loader struct {
	lib      *Library
	allowed  *ast.Capabilities
	denied   map[string]bool
	problems problems
	// from is the file that each package was read from.
	from map[string]string
	// unparsed says that some module is missing, so that compiling the others would only report what follows from that.
	unparsed bool
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// source reads one folder. Only the two levels of the layout are looked into.
func (ld *loader) source(s Source) (err error) {
	files, closeFiles, err := s.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeFiles()) }()
	found := 0
	for group, err := range ld.entries(s, files, ".") {
		if err != nil {
			return err
		}
		if !group.IsDir() {
			ld.misplaced(s, group.Name())
			continue
		}
		for policy, err := range ld.entries(s, files, group.Name()) {
			if err != nil {
				return err
			}
			folder := path.Join(group.Name(), policy.Name())
			if !policy.IsDir() {
				ld.misplaced(s, folder)
				continue
			}
			if found++; found > MaxPolicyFiles {
				return fmt.Errorf("more than %d policies", MaxPolicyFiles)
			}
			if err := ld.folder(s, files, group.Name(), policy.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// entries lists a folder in order, without hidden files. A symbolic link is followed inside of the source and reported when it leads out.
func (ld *loader) entries(s Source, files fs.FS, dir string) func(yield func(fs.FileInfo, error) bool) {
	return func(yield func(fs.FileInfo, error) bool) {
		list, err := fs.ReadDir(files, dir)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, entry := range list {
			if strings.HasPrefix(entry.Name(), ".") {
				continue
			}
			info, err := fs.Stat(files, path.Join(dir, entry.Name()))
			if err != nil {
				ld.problems.add(path.Join(s.Name, dir, entry.Name()), 0, 0, "can't be read inside of its folder: %v", err)
				continue
			}
			if !yield(named{info, entry.Name()}, nil) {
				return
			}
		}
	}
}

// named is a file under the name of the link that leads to it.
type named struct {
	fs.FileInfo
	name string
}

func (n named) Name() string { return n.name }

func (ld *loader) misplaced(s Source, file string) {
	if path.Ext(file) == ".rego" {
		ld.problems.add(path.Join(s.Name, file), 0, 0, "is not in a folder of its own: a policy lies in group/name/name.rego")
	}
}

// folder reads one policy, or one library for policies in the group lib.
func (ld *loader) folder(s Source, files fs.FS, group, name string) error {
	var rego []string
	for entry, err := range ld.entries(s, files, path.Join(group, name)) {
		if err != nil {
			return err
		}
		if path.Ext(entry.Name()) != ".rego" || entry.IsDir() {
			continue
		}
		file := path.Join(s.Name, group, name, entry.Name())
		switch {
		case entry.Name() != name+".rego" && entry.Name() != name+"_test.rego":
			ld.problems.add(file, 0, 0, "the folder of a policy holds %s.rego and %s_test.rego and no other Rego", name, name)
		case !entry.Mode().IsRegular():
			ld.problems.add(file, 0, 0, "is not a regular file")
		case entry.Size() > MaxPolicyFile:
			ld.problems.add(file, 0, 0, "has %d bytes; a policy file has at most %d", entry.Size(), MaxPolicyFile)
		default:
			rego = append(rego, entry.Name())
		}
	}
	if len(rego) == 0 {
		return nil
	}
	if !validName.MatchString(group) || !validName.MatchString(name) || strings.HasSuffix(name, "_test") {
		ld.problems.add(path.Join(s.Name, group, name), 0, 0, "group and name of a policy are lower case letters, digits and _, and don't end in _test")
		return nil
	}
	for _, base := range rego {
		raw, err := fs.ReadFile(files, path.Join(group, name, base))
		if err != nil {
			return err
		}
		ld.module(path.Join(s.Name, group, name, base), string(raw), group, name, base == name+"_test.rego")
	}
	return nil
}

// module parses and checks one file.
func (ld *loader) module(file, source, group, name string, test bool) {
	m, err := ast.ParseModuleWithOpts(file, source, ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1, Capabilities: ld.allowed})
	if err != nil {
		ld.unparsed = true
		ld.regoErrors(file, err)
		return
	}
	if m == nil {
		ld.problems.add(file, 1, 1, "is empty")
		return
	}
	ld.forbiddenCalls(file, m)
	want := "data.seatrial." + group + "." + name
	if test {
		want += "_test"
	}
	if got := m.Package.Path.String(); got != want {
		ld.problems.add(file, m.Package.Location.Row, m.Package.Location.Col, "package is %s; in this folder it must be %s", strings.TrimPrefix(got, "data."), strings.TrimPrefix(want, "data."))
		return
	}
	if first, taken := ld.from[want]; taken {
		ld.problems.add(file, m.Package.Location.Row, m.Package.Location.Col, "policy %s/%s is already defined in %s", group, name, first)
		return
	}
	ld.from[want] = file
	if test {
		ld.lib.tests[file] = m
		return
	}
	ld.lib.modules[file] = m
	if group != "lib" {
		ld.policy(file, source, group+"/"+name, m)
	}
}

func (ld *loader) policy(file, source, id string, m *ast.Module) {
	p := &Policy{ID: id, File: file, Source: source, Related: []string{}}
	metadata{file, &ld.problems}.decode(source, m.Package.Location.Row, p)
	has := map[string]bool{}
	for _, rule := range m.Rules {
		name := rule.Head.Ref()[0].Value.String()
		if name != "subjects" && name != "deny" && name != "unknown" {
			continue
		}
		has[name] = true
		if rule.Head.RuleKind() != ast.MultiValue || len(rule.Head.Ref()) != 1 {
			ld.problems.add(file, rule.Location.Row, rule.Location.Col, "%s is not a set: write `%s contains … if { … }`", name, name)
		}
	}
	for _, name := range []string{"subjects", "deny"} {
		if !has[name] {
			ld.problems.add(file, m.Package.Location.Row, m.Package.Location.Col, "policy has no rule %s", name)
		}
	}
	p.speaksUnknown = has["unknown"]
	ld.lib.policies = append(ld.lib.policies, p)
}

// forbiddenCalls reports calls of builtins that policies may not use, with a better reason than "undefined function".
func (ld *loader) forbiddenCalls(file string, m *ast.Module) {
	ast.WalkTerms(m, func(t *ast.Term) bool {
		ref, ok := t.Value.(ast.Ref)
		if ok && ld.denied[ref.String()] && t.Location != nil {
			ld.unparsed = true
			ld.problems.add(file, t.Location.Row, t.Location.Col, "%s is kept from policies: it reaches out, or its answer is not the same every time", ref)
		}
		return false
	})
}

func (ld *loader) compile(modules map[string]*ast.Module) *ast.Compiler {
	c := ast.NewCompiler().WithCapabilities(ld.allowed).WithStrict(true)
	c.SetErrorLimit(0)
	if c.Compile(copies(modules)); c.Failed() {
		ld.regoErrors("", c.Errors)
	}
	return c
}

// copies keeps the parsed modules as they are: compiling rewrites them.
func copies(modules map[string]*ast.Module) map[string]*ast.Module {
	copied := make(map[string]*ast.Module, len(modules))
	for file, m := range modules {
		copied[file] = m.Copy()
	}
	return copied
}

func (ld *loader) regoErrors(file string, err error) {
	var list ast.Errors
	if !errors.As(err, &list) {
		ld.problems.add(file, 0, 0, "%v", err)
		return
	}
	for _, e := range list {
		if e.Location == nil {
			ld.problems.add(file, 0, 0, "%s", e.Message)
			continue
		}
		ld.problems.add(cmp.Or(e.Location.File, file), e.Location.Row, max(1, e.Location.Col), "%s", e.Message) // OPA has no column for the end of a file
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
