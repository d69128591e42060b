package judge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/world"
)

// Policy is one policy of a library: what its METADATA says of it, and its source.
type Policy struct {
	// ID is "group/name".
	ID          string   `json:"id"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Related     []string `json:"relatedResources"`
	Severity    Severity `json:"severity"`
	Scope       Scope    `json:"scope"`
	// On lists the collections of the world whose changes wake a policy of scope moment.
	On []string `json:"on,omitempty"`
	// Needs lists kinds of step, "probe" and "etcd": without any of them in the plan the policy does not apply. Empty: it always applies.
	Needs []string `json:"needs,omitempty"`
	// MayBeEmpty says that having nothing to look at is no reason for doubt.
	MayBeEmpty bool `json:"mayBeEmpty"`
	// Params are what a scenario may set, by name.
	Params map[string]Param `json:"params,omitempty"`
	// Remedy says what to change when the policy speaks.
	Remedy string `json:"remedy"`
	// File is where it was read from.
	File string `json:"file"`
	// Source is the policy's Rego.
	Source string `json:"-"`

	// speaksUnknown says that the policy has the optional rule unknown.
	speaksUnknown bool
}

// Param is one parameter of a policy.
type Param struct {
	Default     any    `json:"default"`
	Description string `json:"description"`
}

// metadata decodes the METADATA of a policy: the YAML in the comment block before its package line. OPA reads the same block, but
// passes over what it does not know; here an unknown key is an error with its place.
type metadata struct {
	file     string
	problems *problems
}

// decode fills in p. The place of the package line is where a missing block is reported.
func (m metadata) decode(source string, packageRow int, p *Policy) {
	text, row := metadataBlock(source, packageRow)
	if row == 0 {
		m.problems.add(m.file, packageRow, 1, "no METADATA before the package: a policy needs title, description and custom: {severity, scope, remedy}")
		return
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		m.problems.add(m.file, row, 1, "METADATA: %v", err) // the error names the line, which is the file's
		return
	}
	if len(doc.Content) == 0 {
		m.problems.add(m.file, row, 1, "METADATA is empty")
		return
	}
	m.fields(doc.Content[0], "METADATA", []string{"title", "description", "custom"}, map[string]func(*yaml.Node){
		"scope":             func(n *yaml.Node) { m.oneOf(n, []string{"package"}) },
		"title":             func(n *yaml.Node) { p.Title = m.text(n) },
		"description":       func(n *yaml.Node) { p.Description = m.text(n) },
		"related_resources": func(n *yaml.Node) { p.Related = m.related(n) },
		"custom":            func(n *yaml.Node) { m.custom(n, p) },
	})
}

func (m metadata) custom(n *yaml.Node, p *Policy) {
	m.fields(n, "custom", []string{"severity", "scope", "remedy"}, map[string]func(*yaml.Node){
		"severity": func(n *yaml.Node) { p.Severity = Severity(m.oneOf(n, []string{string(Error), string(Warning)})) },
		"scope": func(n *yaml.Node) {
			p.Scope = Scope(m.oneOf(n, []string{string(ScopePlan), string(ScopeMoment), string(ScopeRun)}))
		},
		"remedy": func(n *yaml.Node) { p.Remedy = m.text(n) },
		"on":     func(n *yaml.Node) { p.On = m.someOf(n, world.Collections) },
		"needs": func(n *yaml.Node) {
			p.Needs = m.someOf(n, append(scenario.Kinds(), plan.UsesProbe, plan.UsesEtcd, plan.UsesCronJob))
		},
		"mayBeEmpty": func(n *yaml.Node) { p.MayBeEmpty = m.truth(n) },
		"params":     func(n *yaml.Node) { p.Params = m.params(n) },
	})
	switch {
	case p.Scope == ScopeMoment && len(p.On) == 0:
		m.at(n, "scope moment needs custom.on: which of %s wake the policy", strings.Join(world.Collections, ", "))
	case p.Scope != ScopeMoment && len(p.On) > 0:
		m.at(n, "custom.on is for scope moment; a policy of scope %s is evaluated once", p.Scope)
	}
}

func (m metadata) params(n *yaml.Node) map[string]Param {
	params := map[string]Param{}
	m.pairs(n, "params", func(name, value *yaml.Node) {
		var p Param
		m.fields(value, "params."+name.Value, []string{"default", "description"}, map[string]func(*yaml.Node){
			"default": func(n *yaml.Node) {
				v, err := plainValue(n)
				if err != nil {
					m.at(n, "params.%s.default: %v", name.Value, err)
				}
				p.Default = v
			},
			"description": func(n *yaml.Node) { p.Description = m.text(n) },
		})
		params[name.Value] = p
	})
	return params
}

// plainValue decodes YAML into what JSON has: the types that a scenario's parameters have too.
func plainValue(n *yaml.Node) (any, error) {
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, err
	}
	return plain(v)
}

// plain turns a value into the types that decoding JSON gives.
func plain(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	return out, json.Unmarshal(raw, &out)
}

func (m metadata) related(n *yaml.Node) []string {
	var refs []string
	for _, item := range m.items(n) {
		if item.Kind == yaml.ScalarNode {
			refs = append(refs, m.text(item))
			continue
		}
		m.fields(item, "related_resources", []string{"ref"}, map[string]func(*yaml.Node){
			"ref":         func(n *yaml.Node) { refs = append(refs, m.text(n)) },
			"description": func(n *yaml.Node) { m.text(n) },
		})
	}
	return refs
}

// fields decodes a mapping whose keys are known, and reports those that are not, those that come twice and those that are missing.
func (m metadata) fields(n *yaml.Node, what string, required []string, known map[string]func(*yaml.Node)) {
	seen := map[string]bool{}
	ok := m.pairs(n, what, func(key, value *yaml.Node) {
		decode, isKnown := known[key.Value]
		if !isKnown {
			m.at(key, "%s has no key %q; known: %s", what, key.Value, strings.Join(sortedKeys(known), ", "))
			return
		}
		seen[key.Value] = true
		decode(value)
	})
	for _, key := range required {
		if ok && !seen[key] {
			m.at(n, "%s has no %s", what, key)
		}
	}
}

func (m metadata) pairs(n *yaml.Node, what string, visit func(key, value *yaml.Node)) bool {
	if n.Kind != yaml.MappingNode {
		m.at(n, "%s is not a mapping", what)
		return false
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if seen[key.Value] {
			m.at(key, "%s has %q twice", what, key.Value)
		}
		seen[key.Value] = true
		visit(key, n.Content[i+1])
	}
	return true
}

func (m metadata) items(n *yaml.Node) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		m.at(n, "is not a list")
		return nil
	}
	return n.Content
}

func (m metadata) text(n *yaml.Node) string {
	text := strings.Join(strings.Fields(n.Value), " ")
	if n.Kind != yaml.ScalarNode || text == "" {
		m.at(n, "is not a text")
	}
	return text
}

func (m metadata) truth(n *yaml.Node) (v bool) {
	if err := n.Decode(&v); err != nil {
		m.at(n, "%q is neither true nor false", n.Value)
	}
	return v
}

func (m metadata) oneOf(n *yaml.Node, values []string) string {
	if !slices.Contains(values, n.Value) {
		m.at(n, "%q is none of %s", n.Value, strings.Join(values, ", "))
	}
	return n.Value
}

func (m metadata) someOf(n *yaml.Node, values []string) []string {
	var some []string
	for _, item := range m.items(n) {
		some = append(some, m.oneOf(item, values))
	}
	return some
}

func (m metadata) at(n *yaml.Node, format string, args ...any) {
	m.problems.add(m.file, n.Line, n.Column, format, args...)
}

// metadataBlock returns the YAML of the METADATA comment before the package line, with the lines before it left blank and each # made
// a space, so that YAML's lines and columns are the file's. Row is where the block begins, 0 when there is none.
func metadataBlock(source string, packageRow int) (text string, row int) {
	lines := strings.Split(source, "\n")
	lines = lines[:min(packageRow-1, len(lines))]
	for i, line := range lines {
		line = strings.TrimRight(line, " \r")
		switch {
		case row == 0 && line == "# METADATA":
			row = i + 1
			lines[i] = ""
		case row > 0 && strings.HasPrefix(line, "#"):
			lines[i] = " " + line[1:]
		case row > 0:
			return strings.Join(lines[:i], "\n"), row
		default:
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n"), row
}

// parameters lays what a scenario sets over the defaults of the policy.
func (p *Policy) parameters(set map[string]any, ps *problems) map[string]any {
	values := map[string]any{}
	for name, param := range p.Params {
		values[name] = param.Default
	}
	for _, name := range sortedKeys(set) {
		param, known := p.Params[name]
		if !known {
			ps.add("", 0, 0, "policies.params: policy %q has no parameter %q%s", p.ID, name, oneOfNames(" (it has ", sortedKeys(p.Params), ")"))
			continue
		}
		value, err := plain(set[name])
		if err == nil {
			err = sameKind(param.Default, value)
		}
		if err != nil {
			ps.add("", 0, 0, "policies.params: %q of policy %q: %v", name, p.ID, err)
		}
		values[name] = value
	}
	return values
}

func oneOfNames(before string, names []string, after string) string {
	if len(names) == 0 {
		return ""
	}
	return before + strings.Join(names, ", ") + after
}

// sameKind tells whether a value can stand where the default stands.
func sameKind(def, value any) error {
	if def != nil && fmt.Sprintf("%T", def) != fmt.Sprintf("%T", value) {
		return fmt.Errorf("%v is not of the kind of the default %v", value, def)
	}
	text, _ := def.(string)
	if _, err := time.ParseDuration(text); err != nil {
		return nil
	}
	if _, err := time.ParseDuration(value.(string)); err != nil {
		return fmt.Errorf("%q is not a duration such as 200ms, 30s or 5m", value)
	}
	return nil
}

// ParamNames lists the names of the parameters, in order.
func (p *Policy) ParamNames() []string { return sortedKeys(p.Params) }
