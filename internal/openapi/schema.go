package openapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Schema is the part of JSON Schema (draft 2020-12) that the document uses.
type Schema struct {
	Ref         string             `json:"$ref,omitempty"`
	AllOf       []*Schema          `json:"allOf,omitempty"`
	AnyOf       []*Schema          `json:"anyOf,omitempty"`
	Type        string             `json:"type,omitempty"`
	Format      string             `json:"format,omitempty"`
	Description string             `json:"description,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	MinLength   int                `json:"minLength,omitempty"`
	MaxLength   int                `json:"maxLength,omitempty"`
	Minimum     int                `json:"minimum,omitempty"`
	Maximum     int                `json:"maximum,omitempty"`
	Default     any                `json:"default,omitempty"`
	Examples    []any              `json:"examples,omitempty"`
	Items       *Schema            `json:"items,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	// Additional describes the members that Properties does not name. An empty schema allows
	// everything.
	Additional *Schema `json:"additionalProperties,omitempty"`

	Order []string `json:"-"` // of Properties, as the type has them
}

// schemas collects the named types of the document.
type schemas map[string]*Schema

// ref gives a reference to the schema of a struct type, and makes it at its first use. A type
// is called as in Go, with a capital letter and without "View" at its end.
func (s schemas) ref(t reflect.Type) *Schema {
	name := strings.TrimSuffix(strings.ToUpper(t.Name()[:1])+t.Name()[1:], "View")
	if _, ok := s[name]; !ok {
		s[name] = nil // a type may contain itself
		s[name] = s.object(t)
	}
	return &Schema{Ref: "#/components/schemas/" + name}
}

// object describes the members of a struct: those that stand in a body.
func (s schemas) object(t reflect.Type) *Schema {
	out := &Schema{Type: "object", Properties: map[string]*Schema{}}
	answer := !isRequest(t)
	for _, f := range fieldsOf(t) {
		if f.place != inBody {
			continue
		}
		out.Properties[f.name] = s.field(&f)
		out.Order = append(out.Order, f.name)
		if f.need || answer && !f.omits {
			out.Required = append(out.Required, f.name)
		}
	}
	return out
}

// isRequest tells requests by their name. In requests a member is required when its tag says
// so, in answers when nothing leaves it out.
func isRequest(t reflect.Type) bool { return strings.HasSuffix(t.Name(), "Request") }

// field describes a field by its type and its tags.
func (s schemas) field(f *field) *Schema {
	out := s.of(f.typ)
	if out.Ref != "" {
		return &Schema{AllOf: []*Schema{out}, Description: f.doc}
	}
	out.Description, out.Enum = f.doc, f.enum
	if f.format != "" {
		out.Format = f.format
	}
	switch out.Type {
	case "string":
		out.MinLength, out.MaxLength = f.min, f.max
		if f.need && out.MinLength == 0 && out.Format == "" {
			out.MinLength = 1
		}
	case "integer":
		out.Minimum, out.Maximum = f.min, f.max
	}
	if f.standard != "" {
		out.Default = f.value(f.standard)
	}
	if f.example != "" {
		out.Examples = []any{f.value(f.example)}
	}
	if f.null {
		about := out.Description
		out.Description = ""
		return &Schema{AnyOf: []*Schema{out, {Type: "null"}}, Description: about}
	}
	return out
}

// value reads the text of a tag: JSON where the type is no text.
func (f *field) value(text string) any {
	if f.typ.Kind() == reflect.String || f.typ == reflect.TypeFor[auth.ID]() || f.typ == reflect.TypeFor[time.Time]() {
		return text
	}
	return json.RawMessage(text)
}

// of describes a type.
func (s schemas) of(t reflect.Type) *Schema {
	switch {
	case t == reflect.TypeFor[auth.ID]():
		return &Schema{Type: "string", Format: "uuid"}
	case t == reflect.TypeFor[time.Time]():
		return &Schema{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return &Schema{Type: "object", Additional: &Schema{}} // our documents are objects
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Struct:
		return s.ref(t)
	case reflect.Slice:
		return &Schema{Type: "array", Items: s.of(t.Elem())}
	case reflect.Map:
		if t.Elem() == reflect.TypeFor[json.RawMessage]() {
			return &Schema{Type: "object", Additional: &Schema{}} // any JSON
		}
		return &Schema{Type: "object", Additional: s.of(t.Elem())}
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.Int, reflect.Int64:
		return &Schema{Type: "integer"}
	case reflect.String:
		return &Schema{Type: "string"}
	}
	panic("openapi: no schema for " + t.String())
}
