package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"
)

// Schema is the JSON Schema (draft 2020-12) of the scenario format, for editors and for checks before a run.
func Schema() ([]byte, error) {
	r := &jsonschema.Reflector{
		Anonymous:                  true,
		RequiredFromJSONSchemaTags: true,
		LookupComment:              documentation,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			if t != reflect.TypeFor[Duration]() {
				return nil
			}
			return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}
		},
	}
	schema := r.Reflect(&Scenario{})
	schema.Title = "seatrial scenario"
	raw, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return append(raw, '\n'), nil
}

// documentation finds a field's doc tag.
func documentation(t reflect.Type, goField string) string {
	if goField == "" || t.Kind() != reflect.Struct {
		return ""
	}
	if f, ok := t.FieldByName(goField); ok {
		return f.Tag.Get("doc")
	}
	return ""
}

// Reference is the documentation of the format in Markdown, made from the same types as the schema.
func Reference() []byte {
	var out bytes.Buffer
	out.WriteString("# Scenario reference\n\nMade from the types in `harness/scenario` by `seatrial schema --format markdown`; do not edit.\n\n" +
		"Times are written as `200ms`, `30s`, `5m`. Unknown fields, keys used twice, aliases and a second document are errors.\n")
	seen := map[reflect.Type]bool{}
	var section func(title string, t reflect.Type)
	section = func(title string, t reflect.Type) {
		if seen[t] {
			return
		}
		seen[t] = true
		fmt.Fprintf(&out, "\n## %s\n\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n", title)
		type nested struct {
			title string
			t     reflect.Type
		}
		var below []nested
		for _, f := range fields(t) {
			inner, typeName := fieldType(f.Type)
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", fieldName(f), typeName, tagValue(f, "default", isRequired(f)), strings.ReplaceAll(f.Tag.Get("doc"), "|", `\|`))
			if inner != nil {
				below = append(below, nested{join(strings.TrimPrefix(title, "scenario"), fieldName(f)), inner})
			}
		}
		for _, n := range below {
			section(strings.TrimPrefix(n.title, "."), n.t)
		}
	}
	section("scenario", reflect.TypeFor[Scenario]())
	return out.Bytes()
}

// fieldType describes a field's type, and returns the struct inside it when there is one to document.
func fieldType(t reflect.Type) (inner reflect.Type, name string) {
	switch {
	case t == reflect.TypeFor[Duration]():
		return nil, "duration"
	case t.Kind() == reflect.Pointer:
		return fieldType(t.Elem())
	case t.Kind() == reflect.Slice:
		inner, name = fieldType(t.Elem())
		return inner, "list of " + name
	case t.Kind() == reflect.Map:
		return nil, "mapping"
	case t.Kind() == reflect.Struct:
		return t, "object"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int32:
		return nil, "integer"
	}
	return nil, t.Kind().String()
}

func tagValue(f reflect.StructField, key string, required bool) string {
	if required {
		return "required"
	}
	for part := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
		if value, ok := strings.CutPrefix(part, key+"="); ok {
			return "`" + value + "`"
		}
	}
	return ""
}
