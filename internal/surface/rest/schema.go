package rest

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// schema is the part of JSON Schema (draft 2020-12) that the document uses.
type schema struct {
	Ref         string             `json:"$ref,omitempty"`
	AllOf       []*schema          `json:"allOf,omitempty"`
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
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	// Additional describes the members that Properties does not name. An empty schema allows
	// everything.
	Additional *schema `json:"additionalProperties,omitempty"`

	order []string // of Properties, as the type has them
}

// schemas collects the named types of the document.
type schemas map[string]*schema

// ref gives a reference to the schema of a struct type, and makes it at its first use. A type
// is called as in Go, with a capital letter.
func (s schemas) ref(t reflect.Type) *schema {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if _, ok := s[name]; !ok {
		s[name] = nil // a type may contain itself
		s[name] = s.object(t)
	}
	return &schema{Ref: "#/components/schemas/" + name}
}

// object describes the members of a struct: those that stand in a body.
func (s schemas) object(t reflect.Type) *schema {
	out := &schema{Type: "object", Properties: map[string]*schema{}}
	answer := !isRequest(t)
	for _, f := range fieldsOf(t) {
		if f.place != inBody {
			continue
		}
		out.Properties[f.name] = s.field(&f)
		out.order = append(out.order, f.name)
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
func (s schemas) field(f *field) *schema {
	out := s.of(f.typ)
	if out.Ref != "" {
		return &schema{AllOf: []*schema{out}, Description: f.doc}
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
func (s schemas) of(t reflect.Type) *schema {
	switch {
	case t == reflect.TypeFor[auth.ID]():
		return &schema{Type: "string", Format: "uuid"}
	case t == reflect.TypeFor[time.Time]():
		return &schema{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return &schema{Type: "object", Additional: &schema{}} // our documents are objects
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Struct:
		return s.ref(t)
	case reflect.Slice:
		return &schema{Type: "array", Items: s.of(t.Elem())}
	case reflect.Map:
		if t.Elem() == reflect.TypeFor[json.RawMessage]() {
			return &schema{Type: "object", Additional: &schema{}} // any JSON
		}
		return &schema{Type: "object", Additional: s.of(t.Elem())}
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int, reflect.Int64:
		return &schema{Type: "integer"}
	case reflect.String:
		return &schema{Type: "string"}
	}
	panic("rest: no schema for " + t.String())
}
